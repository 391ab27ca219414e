//! The settings of both functions, each declared once: its name, the values that it takes, its default, which function reads it and
//! its use there. The readers, `--help`, the tables of `docs/operators/configure.md` and the tests of the template and of the manifests follow from that.

mod declared;

use std::fmt::Write;

pub use self::declared::*;

/// A setting: an environment variable.
#[derive(Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// The values that it takes, to end "set it to ..." with.
    pub value: &'static str,
    /// Its value where it is not set.
    pub default: DefaultValue,
    /// Whether the template sets it.
    pub template: Template,
    /// Which function reads it.
    pub uses: &'static [Use],
}

/// The use of a setting by a function.
#[derive(Debug)]
pub struct Use {
    /// The function.
    pub function: Function,
    /// The purpose of the setting, in Markdown.
    pub meaning: &'static str,
    /// The value where it is not set, if that is not the [`DefaultValue`].
    pub unset: &'static str,
}

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Answers clients.
    Serve,
    /// Publishes.
    Refresh,
    /// Both in one process (`devfile-registry run`), with the settings of both beside its own.
    Run,
}

/// The value of a setting that is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// There is none: it must be set.
    Required,
    /// This one, as it could be set.
    Value(&'static str),
    /// None.
    Unset,
}

/// Whether `template.yaml` sets a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// It does, from a parameter where operators choose it.
    Set,
    /// The setting is a secret. It sets the variable with [`ARN_SUFFIX`], so that the value is in no configuration.
    Secret,
    /// It stays at its default in AWS Lambda.
    Unset,
}

/// The end of the variable with the path of a file that has a secret.
pub const FILE_SUFFIX: &str = "_FILE";

/// The end of the variable with the ARN of a secret in AWS Secrets Manager or in the SSM Parameter Store.
pub const ARN_SUFFIX: &str = "_ARN";

impl Setting {
    /// The variables that may give the value: that of its name, and for a secret those with the path of a file and with an ARN.
    pub fn variables(&self) -> impl Iterator<Item = String> {
        let suffixes: &[&str] = match self.template {
            Template::Secret => &["", FILE_SUFFIX, ARN_SUFFIX],
            Template::Set | Template::Unset => &[""],
        };
        suffixes.iter().map(|suffix| format!("{}{suffix}", self.name))
    }

    fn use_by(&self, function: Function) -> Option<&Use> {
        self.uses.iter().find(|used| used.function == function)
    }

    /// The value where it is not set.
    fn shown_default(&self, used: &Use) -> String {
        match self.default {
            DefaultValue::Required => "required".to_owned(),
            DefaultValue::Value(value @ ("true" | "false")) => format!("`{value}`"),
            DefaultValue::Value(value) => value.to_owned(),
            DefaultValue::Unset => used.unset.to_owned(),
        }
    }
}

/// The settings that a function reads, with their use.
pub fn of(function: Function) -> impl Iterator<Item = (&'static Setting, &'static Use)> {
    ALL.into_iter().filter_map(move |setting| Some((setting, setting.use_by(function)?)))
}

/// The settings of a function as a table in Markdown.
pub fn markdown(function: Function) -> String {
    let mut table = String::from("| variable | meaning | default |\n|---|---|---|\n");
    for (setting, used) in of(function) {
        let variables: Vec<String> = setting.variables().map(|variable| format!("`{variable}`")).collect();
        let row = (variables.join(", "), used.meaning, setting.shown_default(used));
        let Ok(()) = writeln!(table, "| {} | {} | {} |", row.0, row.1, row.2) else {
            unreachable!("a string takes all text")
        };
    }
    table
}

/// The settings of a function for `--help`.
pub fn help(function: Function) -> String {
    let plain = |text: &str| text.replace('`', "");
    let mut text = String::from("Settings, from environment variables:\n");
    for (setting, used) in of(function) {
        let (meaning, default) = (plain(used.meaning), plain(&setting.shown_default(used)));
        let variables = Vec::from_iter(setting.variables()).join(", ");
        let Ok(()) = write!(text, "\n  {variables}\n      {meaning}\n      default: {default}\n") else {
            unreachable!("a string takes all text")
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn setting_is_declared_once_and_used() {
        let names: BTreeSet<&str> = ALL.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), ALL.len());
        for setting in ALL {
            assert!(!setting.uses.is_empty(), "{}", setting.name);
            for used in setting.uses {
                assert_eq!(setting.default == DefaultValue::Unset, !used.unset.is_empty(), "{}", setting.name);
            }
        }
    }

    #[test]
    fn help_names_every_setting_with_its_default() {
        let text = help(Function::Serve);
        assert!(
            text.contains("\n  CACHE_BUCKET\n      the bucket to read; not with STORE\n      default: required\n"),
            "{text}"
        );
        assert!(text.contains("\n  REDIRECT_BLOBS\n") && !text.contains("WEBHOOK_SECRET"), "{text}");
        assert!(help(Function::Refresh).contains("\n  WEBHOOK_SECRET, WEBHOOK_SECRET_FILE, WEBHOOK_SECRET_ARN\n"));
    }

    #[test]
    fn tables_of_the_page_are_those_of_the_declarations() {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operators/configure.md"))
                .unwrap();
        for (name, function) in [("serve", Function::Serve), ("refresh", Function::Refresh), ("run", Function::Run)] {
            let also = if function == Function::Run { ", the settings of both and" } else { "" };
            let table = format!("\n`{name}`{also}:\n\n{}\n", markdown(function));
            assert!(text.contains(&table), "write this table into docs/operators/configure.md:\n{table}");
        }
    }
}
