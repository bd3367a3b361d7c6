//! `plimsoll simulate`: the simulated API as a process of its own.

use std::io;

use crate::check::load_simulation;
use crate::cli::{EXIT_FAILURE, EXIT_USAGE, SimulateArgs};
use crate::config::Problems;
use crate::simulator::Simulator;
use tokio::signal::unix::{SignalKind, signal};

/// Why the simulator could not run.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The configuration is wrong; every problem.
    #[error("configuration:\n{0}")]
    Config(#[from] Problems),
    /// The address cannot be listened on, or a runtime or signal handler failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl SimulateError {
    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_USAGE,
            Self::Io(_) => EXIT_FAILURE,
        }
    }
}

/// Serves the simulated API until a signal comes.
///
/// # Errors
/// See [`SimulateError`].
pub fn run(args: &SimulateArgs) -> Result<(), SimulateError> {
    let simulation = load_simulation(&args.sources())?;
    let address = simulation.listen_address();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let simulator = Simulator::bind(simulation, address)
            .map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}")))?;
        eprintln!("plimsoll: simulating a messaging API on http://{}", simulator.local_addr()?);
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        simulator.run(stop).await;
        Ok(())
    })
}
