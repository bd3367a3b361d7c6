//! No bytes make a reader panic, and what is kept of them is bounded.

use proptest::prelude::*;

use super::*;
use crate::records::{LogFormat, RecordFormat};

const FORMATS: [Option<RecordFormat>; 5] = [
    None,
    Some(RecordFormat::Attempts),
    Some(RecordFormat::JtlCsv),
    Some(RecordFormat::JtlXml),
    Some(RecordFormat::AccessLog),
];

/// Pieces that readers look for.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static str> = vec![
        "<?xml?>",
        "<testResults>",
        "<httpSample ",
        "ts=\"1\"",
        " rc=\"429\"",
        "/>",
        "</httpSample>",
        "<responseHeader>",
        "&amp;",
        "&#0;",
        "<![CDATA[",
        "]]>",
        "timeStamp,elapsed,responseCode\n",
        "1795528800250,",
        "\"",
        ",",
        "\n",
        "{\"sent_at\":\"2026-11-24T14:00:00Z\"",
        ",\"outcome\":\"accepted\"}",
        "10.0.0.1 - - [24/Nov/2026:15:00:02 +0100] \"GET / HTTP/1.1\" ",
        "429",
        " ",
        "9999999999999999999",
        "-1",
        "\\x2",
        "ä",
        "\u{0}",
    ];
    let word = prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>(), 0..6);
    prop::collection::vec(prop_oneof![8 => word, 1 => noise], 0..40).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in prop_oneof![pieces(), prop::collection::vec(any::<u8>(), 0..300)],
        format in prop::sample::select(FORMATS.to_vec()),
        stated in any::<bool>(),
    ) {
        let log_format = stated.then(|| "common".parse().expect("a format"));
        let mut gatherer = Gatherer::new(Options { format, log_format, ..Options::default() });
        gatherer.read("f", &*bytes);
        match gatherer.finish() {
            Ok(gathered) => {
                let attempts = gathered.observations.attempts;
                prop_assert!(attempts.iter().all(|a| a.sent.is_finite() && a.party < gathered.observations.parties.len()));
                prop_assert!(attempts.is_sorted_by(|a, b| a.sent <= b.sent));
            }
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }

    #[test]
    fn no_format_makes_the_compiler_panic(text in "[$%{}()a-zA-Z:>\"\\\\ \\[\\]ä]{0,40}", line in ".{0,60}") {
        if let Ok(format) = text.parse::<LogFormat>() {
            let _ = format.matches(&line);
        }
    }
}

/// A file without an end of anything.
struct Endless {
    begin: &'static [u8],
    given: usize,
}

impl std::io::Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.given > 64 << 20 {
            return Ok(0);
        }
        let taken = out.len().min(4096);
        for byte in &mut out[..taken] {
            *byte = self.begin.get(self.given).copied().unwrap_or(b'x');
            self.given += 1;
        }
        Ok(taken)
    }
}

#[test]
fn what_never_ends_is_not_kept() {
    for begin in [
        "{\"sent_at\":\"",
        "timeStamp,elapsed,responseCode\n1,2,\"",
        "<?xml?><testResults><responseData>",
    ] {
        let mut gatherer = Gatherer::new(Options::default());
        let input = Endless { begin: begin.as_bytes(), given: 0 };
        gatherer.read("f", std::io::BufReader::new(input));
        let problems = gatherer.finish().expect_err("nothing of use");
        assert!(!problems.is_empty(), "{begin}");
    }
}
