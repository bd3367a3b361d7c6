//! `plimsoll demo`: the daemon against a simulated API, in one process, on loopback.
//!
//! No set-up and nothing leaves this machine. It says what it does and where to look, shows what
//! happens while it happens, and sums it up in a sentence.

mod report;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::oneshot;

use self::report::Report;
use crate::check::load_simulation;
use crate::cli::{DemoArgs, EXIT_FAILURE, EXIT_USAGE};
use crate::config::{self, FileSource, LogLevel, Problems, Settings, Sources};
use crate::daemon::{Daemon, Life, Look, RunError, Signals, Start, background_runtime, start_logs};
use crate::simulator::{Simulation, Simulator};
use crate::telemetry::LogError;

/// Between two looks at the daemon.
const GLANCE: Duration = Duration::from_secs(1);
/// What the simulated API asks for when it refuses, in seconds.
const RETRY_AFTER_S: u64 = 5;
/// For the last log lines.
const FLUSH: Duration = Duration::from_secs(1);

/// Why the demo could not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The flags do not make a valid configuration.
    #[error("{0}")]
    Config(#[from] Problems),
    /// The daemon failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Logging could not be set up.
    #[error(transparent)]
    Logs(#[from] LogError),
    /// The simulator, a runtime or the terminal failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl DemoError {
    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_USAGE,
            Self::Run(error) => error.exit_code(),
            Self::Logs(_) | Self::Io(_) => EXIT_FAILURE,
        }
    }
}

/// Runs the demo until Ctrl-C or its end.
///
/// # Errors
/// See [`DemoError`].
pub fn run(args: &DemoArgs) -> Result<(), DemoError> {
    let api = start_api(simulation(args)?)?;
    let mut settings = settings(args, api.address)?;
    let moving = io::stdout().is_terminal();
    if moving && args.log.log_level.is_none() {
        // Log lines on the same terminal would be drawn over, and the picture says the same.
        settings.log.level = LogLevel::Error;
    }
    let logs = start_logs(&settings.log)?;
    let runtime = background_runtime()?;
    let grace = settings.grace_period;
    let (rate, limit) = (args.rate, args.limit);
    let result: Result<(), DemoError> = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let start = Start {
            settings,
            loader: None,
            files: Look::default(),
            count: None,
            judged: false,
            logs: Some(logs.clone()),
        };
        let mut daemon = Daemon::start(start).await.map_err(RunError::from)?;
        introduce(args, api.address, daemon.address())?;
        let mut report = Report::new(rate, limit, moving);
        let watching = tokio::spawn(watch(daemon.watcher(), report.clone()));
        let life = Life { run_for: args.run_for.map(|d| d.0), grace, linger: false };
        let status = life.live(&mut daemon, &mut signals, |_, _| Ok(())).await?;
        watching.abort();
        let lines = report.summary(&status);
        logs.flush(FLUSH);
        writeln!(io::stdout(), "{lines}")?;
        Ok(())
    });
    // The simulator ends with the process; told so that its connections close in order.
    let _ = api.stop.send(());
    runtime.shutdown_background();
    logs.flush(FLUSH);
    result
}

/// Looks at the daemon once a second and shows what it sees.
async fn watch(watcher: crate::daemon::Watcher, mut report: Report) {
    loop {
        glance_later().await;
        let Some(status) = watcher.status().await else { return };
        if report.show(&status).is_err() {
            // Nobody reads any more; the demo goes on all the same.
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a person watches in real time")]
async fn glance_later() {
    tokio::time::sleep(GLANCE).await;
}

fn introduce(args: &DemoArgs, api: SocketAddr, web: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "Plimsoll demo: nothing leaves this machine.")?;
    writeln!(
        out,
        "  A simulated messaging API on http://{api} allows {} and answers 429 with \
         Retry-After: {RETRY_AFTER_S} beyond it.",
        args.limit
    )?;
    writeln!(out, "  The daemon sends {} to it, and has to find out.", args.rate)?;
    writeln!(out, "  Watch it on http://{web}/")?;
    writeln!(out, "  Look at http://{web}/metrics, http://{web}/api/v1/status")?;
    let end = args.run_for.map_or_else(|| "Ctrl-C".to_owned(), |d| format!("Ctrl-C or {d}"));
    writeln!(out, "  It ends with a summary on {end}.\n")?;
    out.flush()
}

/// The simulated API, on a thread of its own so that it does not disturb the daemon.
struct Api {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
}

fn start_api(simulation: Simulation) -> io::Result<Api> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let simulator = {
        let _inside = runtime.enter();
        Simulator::bind(simulation, SocketAddr::from(([127, 0, 0, 1], 0)))?
    };
    let address = simulator.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    std::thread::Builder::new().name("simulator".to_owned()).spawn(move || {
        runtime.block_on(simulator.run(async {
            let _ = stopped.await;
        }));
    })?;
    Ok(Api { address, stop })
}

fn simulation(args: &DemoArgs) -> Result<Simulation, Problems> {
    // A bucket that holds one second's worth: at a fifth above the limit it lasts five.
    let burst = (args.limit.per_second().ceil() as u64).max(1);
    let text = format!(
        r#"
        seed = {seed}
        retry_after = "{RETRY_AFTER_S}s"
        require_token = true
        [[clients]]
        id = "demo-client"
        secret = "demo-secret"
        tenant = "acme"
        [[operations]]
        shape = "generic"
        path = "/messages"
        [[limits]]
        name = "org.rate.per.second"
        key = "org.rate.per.second"
        namespace = "conversation"
        kind = "token_bucket"
        rate = "{limit}"
        burst = {burst}
        scope = ["tenant"]
        [latency]
        distribution = "lognormal"
        mean = "20ms"
        "#,
        seed = args.seed,
        limit = args.limit,
    );
    load_simulation(&Sources {
        files: vec![toml("the demo's simulator", text)],
        ..Sources::default()
    })
}

fn settings(args: &DemoArgs, api: SocketAddr) -> Result<Settings, Problems> {
    let text = format!(
        r#"
        allow_inline_secrets = true
        [web]
        listen_address = "127.0.0.1:0"
        [policy]
        retry_after_jitter = "500ms"
        [targets.messages]
        base_url = "http://{api}"
        path = "/messages"
        dialect = "genesys"
        body = '{{"to":{{"id":"participant-id"}},"text":"message {{{{sequence}}}}"}}'
        [credentials.bot]
        type = "oauth_client_credentials"
        token_url = "http://{api}/oauth/token"
        client_id = "demo-client"
        client_secret = "demo-secret"
        tenant = "acme"
        client = "demo-client"
        [streams.demo]
        target = "messages"
        credential = "bot"
        rate = "{rate}"
        "#,
        rate = args.rate,
    );
    let files = vec![toml("the demo's configuration", text)];
    config::load(&Sources { files, env: Vec::new(), overrides: args.overrides() })
}

fn toml(name: &str, text: String) -> FileSource {
    FileSource::Toml { name: name.to_owned(), text }
}
