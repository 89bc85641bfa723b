//! `postrider storage check`: prints what it finds as it finds it.

use std::{
    io::{self, Write},
    panic,
};

use anyhow::bail;

use crate::{
    bootstrap::offline::{self, Checked, Finding, StoreUrl},
    cli::figure::count,
    config::Secrets,
};

/// Most findings that are printed; the rest are counted.
const PRINTED: u64 = 100;

/// Checks a store and fails if there is anything to find.
pub(super) async fn check(url: &StoreUrl, secrets: &Secrets) -> anyhow::Result<()> {
    keep_databases_quiet();
    let mut printed = 0;
    let print = move |finding: Finding| {
        printed += 1;
        if printed <= PRINTED {
            // Findings that nobody reads are counted all the same.
            let _ = writeln!(io::stdout(), "{}: {}", finding.place, finding.what);
        }
    };
    let checked = offline::check_store(url, secrets, Box::new(print)).await?;
    if checked.findings > PRINTED {
        let more = count(checked.findings - PRINTED);
        writeln!(io::stdout(), "... and {more} more")?;
    }
    writeln!(io::stdout(), "{}", summary(url, &checked))?;
    match checked.findings {
        0 => Ok(()),
        1 => bail!("{url} is not sound: 1 finding"),
        findings => bail!("{url} is not sound: {} findings", count(findings)),
    }
}

fn summary(url: &StoreUrl, checked: &Checked) -> String {
    let verdict = if checked.findings == 0 { ": sound" } else { "" };
    format!("checked {url}: {}{verdict}", super::listed(&checked.totals))
}

/// Some databases panic on damage, which is caught and becomes a finding. Only
/// panics of this program itself are still told of.
fn keep_databases_quiet() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        let own = |at: &panic::Location<'_>| at.file().starts_with("src/");
        if panicked.location().is_some_and(own) {
            tell(panicked);
        }
    }));
}
