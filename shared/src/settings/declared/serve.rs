//! The settings of serve alone.

use crate::settings::{DefaultValue, Function, Setting, Template, Use};

/// `REVALIDATE_SECONDS`.
pub static REVALIDATE_SECONDS: Setting = Setting {
    name: "REVALIDATE_SECONDS",
    value: "a number of seconds, such as 5",
    default: DefaultValue::Value("5"),
    template: Template::Unset,
    uses: &[Use {
        function: Function::Serve,
        meaning: "age after which a request looks for a newer release",
        unset: "",
    }],
};

/// `REDIRECT_BLOBS`.
pub static REDIRECT_BLOBS: Setting = Setting {
    name: "REDIRECT_BLOBS",
    value: "true or false",
    default: DefaultValue::Value("true"),
    template: Template::Unset,
    uses: &[Use {
        function: Function::Serve,
        meaning: "whether blobs, binary files and starter projects above 4 MiB are answered with a redirect to the bucket; `false` where clients cannot reach it, and always with `STORE`. In AWS Lambda an answer cannot be larger than 6 MB",
        unset: "",
    }],
};

/// `REGISTRY_NAME`.
pub static REGISTRY_NAME: Setting = Setting {
    name: "REGISTRY_NAME",
    value: "a name for people",
    default: DefaultValue::Value("Devfile Registry"),
    template: Template::Set,
    uses: &[Use {
        function: Function::Serve,
        meaning: "the name that people see; in paths of the viewer as lower-case words with hyphens",
        unset: "",
    }],
};

/// `REGISTRY_HEADLESS`.
pub static REGISTRY_HEADLESS: Setting = Setting {
    name: "REGISTRY_HEADLESS",
    value: "true or false",
    default: DefaultValue::Value("false"),
    template: Template::Set,
    uses: &[Use { function: Function::Serve, meaning: "`true`: no viewer", unset: "" }],
};

/// `OPEN_IN`.
pub static OPEN_IN: Setting = Setting {
    name: "OPEN_IN",
    value: "NAME=URL, several separated by commas, where each URL begins with https:// and has {devfile}, {+devfile}, {registry}, {+registry}, {name} or {version}",
    default: DefaultValue::Unset,
    template: Template::Set,
    uses: &[Use {
        function: Function::Serve,
        meaning: "links that open a stack in a development environment, as `NAME=URL` separated by commas, such as `Eclipse Che=https://che.example.org/#{+devfile}`; `{devfile}`, `{registry}`, `{name}` and `{version}` stand for encoded values, `{+devfile}` and `{+registry}` for URLs as they are",
        unset: "none",
    }],
};

/// `USAGE_EVENTS`.
pub static USAGE_EVENTS: Setting = Setting {
    name: "USAGE_EVENTS",
    value: "true or false",
    default: DefaultValue::Value("false"),
    template: Template::Set,
    uses: &[Use {
        function: Function::Serve,
        meaning: "`true`: count which devfiles are listed, viewed and downloaded, and by which clients",
        unset: "",
    }],
};
