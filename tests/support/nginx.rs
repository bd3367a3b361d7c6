//! nginx with `limit_req`: a rate limiter that nobody here wrote, and its own record of what it admitted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use super::http;
use super::process::{Process, free_ports, temp_dir, write_file};

/// Its `limit_req`, as its manual words it.
#[derive(Clone, Debug)]
pub(crate) struct LimitReq {
    /// `20r/s` or `300r/m`.
    pub(crate) rate: String,
    /// Requests above the rate that are still admitted; with 0 `nodelay` has no meaning.
    pub(crate) burst: u32,
    /// Admits a burst at once; otherwise it is delayed to the rate, and refused beyond `burst`.
    pub(crate) nodelay: bool,
    /// What counts as one client, as an nginx variable: `$binary_remote_addr`, `$http_authorization`, `$uri`.
    pub(crate) key: String,
    /// What a refusal says in `Retry-After`; `None` leaves the header out.
    pub(crate) retry_after_s: Option<u32>,
}

impl Default for LimitReq {
    fn default() -> Self {
        Self {
            rate: "20r/s".to_owned(),
            burst: 5,
            nodelay: true,
            key: "$binary_remote_addr".to_owned(),
            retry_after_s: Some(2),
        }
    }
}

/// A line of its access log.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Access {
    /// When the answer was written: seconds since 1970, to the millisecond.
    pub(crate) time_s: f64,
    /// From the request's first byte to the answer's last, to the millisecond.
    pub(crate) duration_s: f64,
    pub(crate) status: u16,
    /// nginx's own word: `PASSED`, `DELAYED`, `REJECTED`.
    pub(crate) limit: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// The request's `X-Request-Id`, empty when it had none.
    pub(crate) request_id: String,
    /// The request's `traceparent`, empty when it had none.
    pub(crate) traceparent: String,
    /// The request's `Authorization`, empty when it had none.
    pub(crate) authorization: String,
}

impl Access {
    /// When the request arrived: seconds since 1970, to two milliseconds.
    pub(crate) fn arrived_s(&self) -> f64 {
        self.time_s - self.duration_s
    }
}

/// A running nginx. Every path answers 200 with a small JSON body, or 429 above the limit.
pub(crate) struct Nginx {
    process: Process,
    port: u16,
    directory: TempDir,
}

impl Nginx {
    pub(crate) fn start(limit: &LimitReq) -> Self {
        let directory = temp_dir();
        let [port] = free_ports();
        let configuration = write_file(directory.path(), "nginx.conf", &configuration(limit, port));
        let mut process = Process::spawn(
            "nginx",
            Command::new(program())
                .arg("-p")
                .arg(directory.path())
                .arg("-c")
                .arg(configuration)
                // Before it has read the configuration it would log where only root may.
                .args(["-e", "stderr"]),
            &directory.path().join("nginx.log"),
        );
        // Not under the limit, or the wait would spend the burst.
        process.wait_for_answer(
            &format!("http://127.0.0.1:{port}/-/healthy"),
            Duration::from_secs(10),
        );
        Self { process, port, directory }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it writes its log.
    pub(crate) fn access_log_file(&self) -> PathBuf {
        self.directory.path().join("access.log")
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it answered so far, in the order of the answers.
    pub(crate) fn access_log(&self) -> Vec<Access> {
        // It logs after it has answered, so the last answer's line may still be missing. The one process writes it
        // before it looks at another request. One that was stopped has nothing left to write.
        let _ = http::get(&healthy_url(self.port));
        let path = self.access_log_file();
        let log = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        log.lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|e| panic!("access log ({e}): {line}"))
            })
            .collect()
    }
}

fn healthy_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/-/healthy")
}

/// Debian installs it where an ordinary user's PATH does not look.
fn program() -> PathBuf {
    let debian = Path::new("/usr/sbin/nginx");
    if debian.exists() { debian.to_owned() } else { PathBuf::from("nginx") }
}

/// `return` alone would answer before `limit_req` is asked: it belongs to an earlier phase. `try_files` comes after it.
/// Without a master process, killing the one process leaves no worker behind.
fn configuration(limit: &LimitReq, port: u16) -> String {
    let LimitReq { rate, key, .. } = limit;
    // It takes "burst=0" for a mistake.
    let burst = match (limit.burst, limit.nodelay) {
        (0, _) => String::new(),
        (burst, true) => format!(" burst={burst} nodelay"),
        (burst, false) => format!(" burst={burst}"),
    };
    let retry_after = limit
        .retry_after_s
        .map(|s| format!("add_header Retry-After {s} always;"))
        .unwrap_or_default();
    format!(
        r#"
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 2048; }}
http {{
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  default_type application/json;
  keepalive_requests 1000000;
  log_format attempts escape=json '{{"time_s":$msec,"duration_s":$request_time,"status":$status,'
    '"limit":"$limit_req_status","method":"$request_method","path":"$request_uri",'
    '"request_id":"$http_x_request_id","traceparent":"$http_traceparent",'
    '"authorization":"$http_authorization"}}';
  access_log access.log attempts;
  limit_req_zone {key} zone=limit:1m rate={rate};
  limit_req_status 429;
  limit_req_log_level info;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      limit_req zone=limit{burst};
      error_page 429 @refused;
      try_files /no-such-file @accepted;
    }}
    location @accepted {{
      return 200 '{{"id":"$request_id"}}';
    }}
    location @refused {{
      {retry_after}
      return 429 '{{"status":429,"code":"too.many.requests"}}';
    }}
    location = /-/healthy {{
      access_log off;
      return 204;
    }}
  }}
}}
"#
    )
}
