//! The settings that serve and refresh have in common.

use crate::settings::{DefaultValue, Function, Setting, Template, Use};

/// `STORE`.
pub static STORE: Setting = Setting {
    name: "STORE",
    value: "the path of a folder",
    default: DefaultValue::Unset,
    template: Template::Unset,
    uses: &[
        Use {
            function: Function::Serve,
            meaning: "a folder with everything that `refresh` publishes, in place of the bucket",
            unset: "none",
        },
        Use {
            function: Function::Refresh,
            meaning: "a folder for everything that is published, in place of the bucket and the OCI registry; it is created if it is missing",
            unset: "none",
        },
    ],
};

/// `CACHE_BUCKET`.
pub static CACHE_BUCKET: Setting = Setting {
    name: "CACHE_BUCKET",
    value: "the name of an S3 bucket, or STORE to a folder",
    default: DefaultValue::Required,
    template: Template::Set,
    uses: &[
        Use { function: Function::Serve, meaning: "the bucket to read; not with `STORE`", unset: "" },
        Use { function: Function::Refresh, meaning: "the bucket to write; not with `STORE`", unset: "" },
    ],
};

/// `LISTEN_ADDR`.
pub static LISTEN_ADDR: Setting = Setting {
    name: "LISTEN_ADDR",
    value: "an address and port, such as 127.0.0.1:8080",
    default: DefaultValue::Value("127.0.0.1:8080"),
    template: Template::Unset,
    uses: &[
        Use { function: Function::Serve, meaning: "where plain HTTP listens", unset: "" },
        Use { function: Function::Refresh, meaning: "where plain HTTP listens", unset: "" },
    ],
};

/// `PUBLIC_URL`.
pub static PUBLIC_URL: Setting = Setting {
    name: "PUBLIC_URL",
    value: "https:// and a host, without a path",
    default: DefaultValue::Unset,
    template: Template::Set,
    uses: &[
        Use {
            function: Function::Serve,
            meaning: "the URL under which clients reach the registry, such as `https://registry.example.org`: for links and commands in the viewer, whose pages shared caches may then keep",
            unset: "the host that a request names",
        },
        Use {
            function: Function::Refresh,
            meaning: "the URL under which clients reach `serve`, such as `https://registry.example.org`; for `OFFLINE`, and for links to previews",
            unset: "none",
        },
    ],
};

/// `FETCH_HOSTS`.
pub static FETCH_HOSTS: Setting = Setting {
    name: "FETCH_HOSTS",
    value: "host names, separated by commas",
    default: DefaultValue::Unset,
    template: Template::Set,
    uses: &[
        Use {
            function: Function::Serve,
            meaning: "names of the only hosts that starter projects may be fetched from, separated by commas",
            unset: "any public host",
        },
        Use {
            function: Function::Refresh,
            meaning: "names of the only hosts that icons, samples, parents and starter projects may be fetched from, separated by commas",
            unset: "any public host",
        },
    ],
};

/// `FETCH_ALLOW_LOOPBACK`.
pub static FETCH_ALLOW_LOOPBACK: Setting = Setting {
    name: "FETCH_ALLOW_LOOPBACK",
    value: "true or false",
    default: DefaultValue::Value("false"),
    template: Template::Unset,
    uses: &[
        Use {
            function: Function::Serve,
            meaning: "`true`: also from this machine, without TLS; for tests and development alone",
            unset: "",
        },
        Use {
            function: Function::Refresh,
            meaning: "`true`: also from this machine, without TLS; for tests and development alone",
            unset: "",
        },
    ],
};

/// `METRICS_ADDR`.
pub static METRICS_ADDR: Setting = Setting {
    name: "METRICS_ADDR",
    value: "an address and port, such as 127.0.0.1:9100",
    default: DefaultValue::Unset,
    template: Template::Unset,
    uses: &[
        Use { function: Function::Serve, meaning: "where plain HTTP shows `/metrics`", unset: "none" },
        Use { function: Function::Refresh, meaning: "where plain HTTP shows `/metrics`", unset: "none" },
    ],
};
