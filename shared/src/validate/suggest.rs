//! `did you mean`: the known name nearest to a written one.

/// Most names to compare with.
const CANDIDATES: usize = 300;

/// Longest name to compare, in bytes; nothing that a devfile can refer to is longer.
const LONGEST: usize = 63;

/// The nearest of some names, the first of equally near ones, when it is near enough to be meant: the same in another case, or within a
/// third of its letters.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > LONGEST {
        return None;
    }
    let lower = written.to_lowercase();
    let allowed = (written.chars().count() / 3).min(3);
    known
        .into_iter()
        .take(CANDIDATES)
        .filter(|name| *name != written && name.len().abs_diff(written.len()) <= allowed + 1)
        .map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A hint that names the nearest, or the choices when they are few; empty otherwise.
pub(crate) fn hint<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().filter(|name| !name.is_empty()).take(CANDIDATES).collect();
    match nearest(written, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if (1..=8).contains(&known.len()) => format!("there is {}", quoted(known, "and")),
        None => String::new(),
    }
}

/// Names in backticks with commas and a last word between: `a`, `b` or `c`.
pub(crate) fn quoted<'a>(names: impl IntoIterator<Item = &'a str>, last: &str) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((end, [])) => end.clone(),
        Some((end, rest)) => format!("{} {last} {end}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_name_of_a_misspelt_one_is_suggested() {
        let known = ["image", "memoryLimit", "commandLine", "env"];
        for (written, expected) in [
            ("imgae", Some("image")),
            ("Image", Some("image")),
            ("memorylimit", Some("memoryLimit")),
            ("comandLine", Some("commandLine")),
            ("enf", Some("env")),
            ("colour", None),
            ("image", None),
        ] {
            assert_eq!(nearest(written, known), expected, "{written}");
        }
        assert_eq!(nearest("2.2.9", ["2.2.2", "2.2.1", "2.2.0"]), Some("2.2.2"), "the first of equally near ones");
        assert_eq!(hint("x", ["a", "bcd", "efg"]), "there is `a`, `bcd` and `efg`");
        assert_eq!(hint("zzzzz", []), "");
    }
}
