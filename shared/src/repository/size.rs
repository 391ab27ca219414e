//! Devfiles that are too large together: the largest keep their last published state, so that the others fit into a release.

use super::parsed::Repository;
use super::part::Part;
use super::stack::Stack;
use crate::diagnostic::Diagnostic;
use crate::limits;

impl Repository {
    /// Quarantines the versions with the largest devfiles until the others have at most `budget` bytes together.
    pub(crate) fn quarantine_largest(&mut self, budget: u64) {
        let mut sizes: Vec<(u64, Part, String)> = self.stacks.iter().flat_map(sizes).collect();
        let mut total: u64 = sizes.iter().map(|(size, ..)| size).sum();
        // The order of equal sizes is that of the stacks, for any number of threads.
        sizes.sort_by_key(|(size, ..)| std::cmp::Reverse(*size));
        for (size, part, path) in sizes {
            if total <= budget {
                break;
            }
            total -= size;
            let message =
                format!("the devfiles of the registry have more than {} bytes together", limits::DEVFILES_BYTES);
            let hint = "this is one of the largest; make it smaller";
            self.quarantine(part, vec![Diagnostic::error(path, "tree/size", message, hint)]);
        }
    }
}

/// Sizes of the devfiles of a stack, with the part that each belongs to and its path.
fn sizes(stack: &Stack) -> impl Iterator<Item = (u64, Part, String)> {
    stack.versions.iter().map(|version| {
        let name = version.devfile_name();
        let devfile = version.files.iter().find(|(path, _)| path == name);
        let size = devfile.map_or(0, |(_, file)| file.content.len() as u64);
        (size, stack.part_of(version), format!("{}/{name}", version.folder))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{devfile, tree};
    use super::*;

    #[test]
    fn largest_devfiles_are_quarantined_until_the_others_fit() {
        let padded = |name: &str, size: usize| format!("{}# {}\n", devfile(name, "1.0.0"), "x".repeat(size));
        let texts = [("a", 1000), ("b", 3000), ("c", 2000)].map(|(name, size)| (name, padded(name, size)));
        let files: Vec<_> = texts.iter().map(|(name, text)| (format!("stacks/{name}/devfile.yaml"), text)).collect();
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let total: usize = texts.iter().map(|(_, text)| text.len()).sum();
        let quarantined = |budget: usize| {
            let mut repository = Repository::parse(&tree(&files));
            repository.quarantine_largest(budget as u64);
            repository.quarantined.iter().map(|part| part.problems[0].path.clone()).collect::<Vec<_>>()
        };
        assert_eq!(quarantined(total), [""; 0]);
        assert_eq!(quarantined(total - 1), ["stacks/b/devfile.yaml"]);
        assert_eq!(quarantined(2000), ["stacks/b/devfile.yaml", "stacks/c/devfile.yaml"]);
        assert_eq!(quarantined(0).len(), 3);
    }
}
