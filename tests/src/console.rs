//! The output of the programs that the scripts start.

use std::io::{ErrorKind, Write};

use tokio::sync::Notify;

/// Wakes [`unread`].
static UNREAD: Notify = Notify::const_new();

/// Prints the name of a step, and its result or purpose.
pub fn step(name: &str, text: &str) {
    line(&format!("{name:10}{text}"));
}

/// Prints names and values in two columns, between empty lines.
pub fn table(rows: &[(&str, String)]) {
    let rows: String = rows.iter().map(|(name, value)| format!("  {name:10}{value}\n")).collect();
    line(&format!("\n{rows}"));
}

/// Prints a line.
pub fn line(text: &str) {
    if writeln!(std::io::stdout(), "{text}").is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        UNREAD.notify_one();
    }
}

/// Waits until the output has no reader any more (`scripts/dev | head`).
pub(crate) async fn unread() {
    UNREAD.notified().await;
}
