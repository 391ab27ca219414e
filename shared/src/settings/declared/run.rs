//! The settings of `devfile-registry run` beside those of the functions.

use crate::settings::{DefaultValue, Function, Setting, Template, Use};

/// `SCHEDULE_SECONDS`.
pub static SCHEDULE_SECONDS: Setting = Setting {
    name: "SCHEDULE_SECONDS",
    value: "a number of seconds, such as 300",
    default: DefaultValue::Value("300"),
    template: Template::Unset,
    uses: &[Use {
        function: Function::Run,
        meaning: "seconds between two runs of the schedule, which compares the head of the branch with the published release and repairs differences",
        unset: "",
    }],
};
