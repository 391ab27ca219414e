//! The warnings of a release.

use std::collections::BTreeMap;

use super::documents::stack_of;
use super::offline::OFFLINE_RULES;
use crate::diagnostic::Diagnostic;
use crate::limits;

/// Warnings by the folders of the stacks that they are of, and all others. The needs of offline stacks for other hosts are
/// among the others, since every report lists it.
pub(super) fn by_stack(mut warnings: Vec<Diagnostic>) -> (BTreeMap<String, Vec<Diagnostic>>, Vec<Diagnostic>) {
    warnings.sort();
    let (mut of_stacks, mut others) = (BTreeMap::<String, Vec<Diagnostic>>::new(), Vec::new());
    for warning in first_of_each_stack(warnings) {
        match stack_of(&warning.path).filter(|_| !warning.rule.starts_with(OFFLINE_RULES)) {
            Some(stack) => of_stacks.entry(stack.to_owned()).or_default().push(warning),
            None => others.push(warning),
        }
    }
    (of_stacks, others)
}

/// Sorted warnings, as many of each stack, and of each file outside stacks, as a release carries.
fn first_of_each_stack(warnings: Vec<Diagnostic>) -> Vec<Diagnostic> {
    fn part(warning: &Diagnostic) -> &str {
        stack_of(&warning.path).unwrap_or(&warning.path)
    }
    let alike = warnings.chunk_by(|one, next| part(one) == part(next));
    alike.flat_map(|warnings| warnings.iter().take(limits::STACK_WARNINGS).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_counted_by_stack() {
        let some = |path: &str, count: usize| {
            (0..count).map(|n| Diagnostic::warning(path, "index/icon", format!("{n:03}"), "")).collect::<Vec<_>>()
        };
        let warnings = [
            some("extraDevfileEntries.yaml", 12),
            some("stacks/kiln/1.0.0/devfile.yaml", 7),
            some("stacks/kiln/stack.yaml", 7),
            some("stacks/loom/devfile.yaml", 3),
        ];
        let retained = first_of_each_stack(warnings.concat());
        let of = |path: &str| retained.iter().filter(|warning| warning.path.starts_with(path)).count();
        assert_eq!([of("extra"), of("stacks/kiln/"), of("stacks/kiln/stack.yaml"), of("stacks/loom")], [10, 10, 3, 3]);
    }
}
