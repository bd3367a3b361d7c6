//! `plimsoll report`: its flags.

use std::path::PathBuf;

use clap::Args;

/// `plimsoll report`.
#[derive(Args, Clone, Debug, Default)]
pub struct ReportArgs {
    /// The daemon to ask
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:9469")]
    pub url: String,
    /// Where to write the bundle
    #[arg(long, short, value_name = "FILE", default_value = "plimsoll-report.tar.gz")]
    pub output: PathBuf,
    /// Certificate authorities in PEM that may have signed the daemon's certificate
    #[arg(long = "http.ca-file", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// User of the daemon's surface
    #[arg(long = "http.user", value_name = "NAME", requires = "password_file")]
    pub user: Option<String>,
    /// File that holds the user's password
    #[arg(long = "http.password-file", value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
}
