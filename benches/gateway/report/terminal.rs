//! The results on the terminal, while they come.

use super::goals::Verdict;
use super::{KINDS, Results, extra, quantile, rss_mib};
use crate::figures::{short, thousands};
use crate::scenarios::{Row, Scenario};
use crate::subject::{Kind, Sample};

impl Results {
    /// Shows the rows of a scenario, and what became of their goals if `is_judged`.
    pub fn print(&self, scenario: &Scenario, is_judged: bool) {
        for row in scenario.rows {
            println!("\n{}: {}", row.id, row.title);
            for kind in KINDS {
                self.print_cell(row, kind);
            }
            if is_judged {
                for verdict in self.verdicts(row) {
                    println!("  {}", line(&verdict));
                }
            }
        }
    }

    fn print_cell(&self, row: &Row, kind: Kind) {
        let (Some(cell), Some(cpu)) = (
            self.cell(row.id, kind),
            self.median(row.id, kind, Sample::cpu_us),
        ) else {
            return;
        };
        let rate = self.median(row.id, kind, Sample::rate);
        print!(
            "  {:9} {:>9} us CPU [{}-{}]  {:>9}/s{}",
            kind.name(),
            short(cpu.value),
            short(cpu.low),
            short(cpu.high),
            rate.map_or(String::new(), |rate| thousands(rate.value)),
            match self.is_driver_bound(row.id, kind) {
                true => " (driver-bound)",
                false => "",
            }
        );
        let quantiles: Vec<String> = [0.5, 0.99, 0.999]
            .into_iter()
            .filter_map(|q| Some(short(self.median(row.id, kind, quantile(q))?.value)))
            .collect();
        if !quantiles.is_empty() {
            print!("  p50/99/99.9 {} us", quantiles.join("/"));
        }
        if let Some(calls) = cell.calls {
            print!("  {} syscalls", short(calls));
        }
        if let Some(rss) = self.median(row.id, kind, rss_mib) {
            print!("  RSS {} MiB", short(rss.value));
        }
        if let Some(last) = cell.samples.values().next_back() {
            print!(
                "  [driver {:.0} %, broker {:.0} %]",
                last.driver * 100.0,
                last.broker * 100.0
            );
            for &(name, _, unit) in &last.extra {
                if let Some(value) = self.median(row.id, kind, extra(name)) {
                    print!("  {name} {} {unit}", short(value.value));
                }
            }
        }
        println!();
    }

    /// Counts the goals that were met, and names the others.
    pub fn print_summary(&self) {
        let all = self.all_verdicts();
        let met = all.iter().filter(|(_, verdict)| verdict.is_met()).count();
        println!("\n{met} of {} goals met", all.len());
        for (id, verdict) in all.iter().filter(|(_, verdict)| !verdict.is_met()) {
            println!("  {id}: {}", line(verdict));
        }
        for (id, kind, why) in &self.failures {
            println!("  {id}: {} failed: {why}", kind.name());
        }
    }
}

fn line(verdict: &Verdict) -> String {
    format!(
        "{}: {} {} [{}-{}], goal {}",
        match verdict.is_met() {
            true => "met",
            false => "MISSED",
        },
        verdict.what,
        short(verdict.found.value),
        short(verdict.found.low),
        short(verdict.found.high),
        short(verdict.limit)
    )
}
