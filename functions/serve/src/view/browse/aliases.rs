//! Other names of languages and platforms: a search for one finds the others.

/// Names that stand for the same thing, each as a whole word.
const ALIASES: [&[&str]; 12] = [
    &["go", "golang"],
    &["js", "javascript"],
    &["ts", "typescript"],
    &["py", "python"],
    &["rb", "ruby"],
    &["c#", "csharp"],
    &["f#", "fsharp"],
    &["c++", "cpp"],
    &[".net", "dotnet"],
    &["k8s", "kubernetes"],
    &["node", "nodejs"],
    &["postgres", "postgresql"],
];

/// The other names of a folded word.
pub(super) fn of(word: &str) -> impl Iterator<Item = &'static str> {
    let group = ALIASES.iter().find(|group| group.contains(&word)).copied().unwrap_or_default();
    group.iter().copied().filter(move |alias| *alias != word).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_stands_in_one_group_and_has_the_others_as_aliases() {
        let mut all: Vec<&str> = ALIASES.concat();
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{all:?}");
        assert_eq!(of("golang").collect::<Vec<_>>(), ["go"]);
        assert_eq!(of("c++").collect::<Vec<_>>(), ["cpp"]);
        assert_eq!(of("rust").count(), 0);
    }
}
