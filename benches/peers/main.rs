//! Plimsoll against its peers, in the same run, on loopback: how punctual, how frugal, how fast.
//!
//! Both sides send to the same server, in turns, and what counts is what arrives there. It drives the real programs and
//! must not know anything of Plimsoll's inside. docs/BENCHMARKS.md says how to read the result.

#![expect(clippy::disallowed_methods, reason = "real programs run in real time")]

mod clock;
mod measures;
mod process;
mod report;
mod server;
mod stats;
mod surroundings;
mod tools;
mod turn;

use std::process::ExitCode;

use clap::Parser;
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Plimsoll against its peers; a bar that is missed is told and is no failure.
#[derive(Debug, Parser)]
#[command(name = "peers")]
struct Arguments {
    /// Short turns: to see that everything works, not to compare.
    #[arg(long)]
    quick: bool,
    /// The result as one JSON document.
    #[arg(long)]
    json: bool,
    /// Length of a turn's measured span, in seconds.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=30))]
    seconds: Option<u64>,
    /// Turns of each side; the median counts.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: Option<u32>,
    /// Only these contests.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(measures::names()))]
    only: Vec<String>,
    /// Share of accepted messages whose spans Plimsoll exports; its default is 0.01.
    #[arg(long, default_value_t = 0.01)]
    sample_ratio: f64,
    /// Seconds from one scrape of Plimsoll's metrics to the next.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    scrape_every_s: u64,
    /// Another binary of Plimsoll than the one built along: the static one of the image, for example.
    #[arg(long, value_name = "FILE")]
    binary: Option<std::path::PathBuf>,
    /// oha on both sides: every ratio should be 1, and how far from it they are is this machine's noise.
    #[arg(long)]
    calibrate: bool,
    /// Be the server, with this service time.
    #[arg(long, hide = true)]
    serve_us: Option<u64>,
    /// cargo says this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(if self.quick { 3 } else { 20 })
    }

    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 })
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.serve_us {
        Some(service_us) => server::run(service_us),
        None => compare(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("peers: {e}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<()> {
    let us = if arguments.calibrate { tools::Tool::Oha } else { tools::Tool::Plimsoll };
    if !arguments.json {
        report::heading(us);
    }
    let outcomes = measures::run(arguments, |outcome| {
        if !arguments.json {
            report::contest(us, outcome);
        }
    })?;
    if arguments.json {
        let document = json!({
            "seconds": arguments.seconds(),
            "rounds": arguments.rounds(),
            "sample_ratio": arguments.sample_ratio,
            "scrape_every_s": arguments.scrape_every_s,
            "calibration": arguments.calibrate,
            "contests": outcomes,
        });
        println!("{document:#}");
    }
    Ok(())
}
