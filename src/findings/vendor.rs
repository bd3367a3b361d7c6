//! What to ask the vendor, in the vendor's own words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::{Subject, Vendor};
use super::words::{self, known};
use crate::infer::study::{Conclusion, Named, Observations};

/// A question, or a request, for the vendor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ask {
    /// Where it is asked.
    pub whom: String,
    /// The text to send.
    pub text: String,
    /// The limit that it is about, by the vendor's name for it.
    pub named: Option<Named>,
}

/// Whether a key is of Genesys Cloud's naming, such as `token.rate.per.minute`.
pub(super) fn is_genesys(key: &str) -> bool {
    key.ends_with(".rate.per.minute")
}

/// What to ask, the most pressing first.
pub(super) fn asks(
    subject: &Subject,
    observations: &Observations,
    conclusion: &Conclusion,
) -> Vec<Ask> {
    let measured = conclusion.limits.first().map(words::answer).filter(|a| a != "unknown");
    let mut named: Vec<_> = observations.named.iter().collect();
    named.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if measured.is_none() && named.is_empty() {
        return Vec::new();
    }
    let whom = match subject.vendor {
        Vendor::Genesys => {
            "Genesys Cloud Customer Care: a support case. The admin portal cannot raise a limit."
        }
        Vendor::Other => "The vendor's support.",
    };
    let measured = measured.unwrap_or_else(|| "not known exactly".to_owned());
    let operation = subject.operation.as_deref().unwrap_or("our requests");
    if named.is_empty() {
        let text = nameless(operation, &measured, conclusion);
        return vec![Ask { whom: whom.to_owned(), text, named: None }];
    }
    let ask = |(named, count): &(Named, u64)| Ask {
        whom: whom.to_owned(),
        text: by_name(named, *count, operation, &measured, subject.vendor),
        named: Some(named.clone()),
    };
    named.into_iter().map(ask).collect()
}

fn by_name(named: &Named, count: u64, operation: &str, measured: &str, vendor: Vendor) -> String {
    let namespace = named.namespace.as_ref();
    let namespace = namespace.map_or_else(String::new, |name| format!(" (namespace {name})"));
    let value = named.value.as_ref();
    let value = value.map_or_else(String::new, |value| format!(", whose value is {value},"));
    let ask = match vendor {
        Vendor::Genesys => "Please raise it for our organisation to [N], or tell us why not",
        Vendor::Other => "Please raise it to [N], or tell us why not",
    };
    format!(
        "The limit {}{namespace}{value} refused {count} of our requests for {operation}. What we \
         measure is {measured}. {ask}; and say whether it is counted per token, client, user or \
         organisation.",
        named.key
    )
}

fn nameless(operation: &str, measured: &str, conclusion: &Conclusion) -> String {
    let first = conclusion.limits.first();
    let scope = first.and_then(|limit| known(&limit.scope)).map_or(
        " Is it counted per token, client, user or organisation?",
        |_| " Is that how you count it?",
    );
    format!(
        "Our requests for {operation} are refused beyond a limit: {measured}. What is this limit \
         called, and what is its value for us?{scope} Please raise it to [N], or tell us why not."
    )
}
