//! The structured field values (RFC 9651) that the IETF rate limit headers are made of, from
//! whichever draft: lists of named quotas, lists of plain policies, and the dictionary of draft-07.

use std::time::Duration;

use sfv::{BareItem, Dictionary, Item, List, ListEntry, Parameters, Parser};

use crate::sender::figure::Unreadable;

/// Members beyond this are not kept.
const MEMBERS_MAX: usize = 16;

/// `"name";q=100;w=60;qu=requests;pk=:…:` of RateLimit-Policy.
pub(super) struct NamedPolicy {
    pub(super) key: Key,
    /// Empty for requests, otherwise the unit that the quota counts.
    pub(super) unit: String,
    pub(super) quota: u64,
    pub(super) window: Option<Duration>,
}

/// `100;w=60`: a policy of draft-07 and older, which has no name.
pub(super) struct PlainPolicy {
    pub(super) quota: u64,
    pub(super) window: Option<Duration>,
}

/// `"name";r=50;t=30` of RateLimit.
pub(super) struct ServiceLimit {
    pub(super) key: Key,
    pub(super) remaining: u64,
    pub(super) reset: Option<Duration>,
}

/// What joins a service limit to its policy. The partition key takes part in the comparison but is
/// never shown: it may identify a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) name: String,
    partition: Option<Vec<u8>>,
}

impl Key {
    /// Whether the two mean the same quota; a side that states no partition means any.
    pub(super) fn joins(&self, other: &Self) -> bool {
        self.name == other.name
            && (self.partition == other.partition
                || self.partition.is_none()
                || other.partition.is_none())
    }
}

/// A `RateLimit-Policy` field: named members, and unnamed ones of the older drafts.
pub(super) fn policies(field: &str) -> Result<(Vec<NamedPolicy>, Vec<PlainPolicy>), Unreadable> {
    let (mut named, mut plain) = (Vec::new(), Vec::new());
    for item in items(field)? {
        let window = optional(&item.params, "w")?.map(Duration::from_secs);
        if let BareItem::Integer(quota) = item.bare_item {
            let quota = u64::try_from(i64::from(quota)).map_err(|_| Unreadable)?;
            plain.push(PlainPolicy { quota, window });
            continue;
        }
        let quota = optional(&item.params, "q")?.ok_or(Unreadable)?;
        let unit = param(&item.params, "qu").and_then(word).unwrap_or_default();
        let unit = if unit == "requests" { String::new() } else { unit };
        named.push(NamedPolicy { key: key(&item)?, unit, quota, window });
    }
    Ok((named, plain))
}

/// A `RateLimit` field of draft-08 and later.
pub(super) fn service_limits(field: &str) -> Result<Vec<ServiceLimit>, Unreadable> {
    items(field)?
        .into_iter()
        .map(|item| {
            let remaining = optional(&item.params, "r")?.ok_or(Unreadable)?;
            let reset = optional(&item.params, "t")?.map(Duration::from_secs);
            Ok(ServiceLimit { key: key(&item)?, remaining, reset })
        })
        .collect()
}

/// The `limit`, `remaining` and `reset` of draft-07's dictionary.
pub(super) fn draft07(field: &str) -> Result<[Option<u64>; 3], Unreadable> {
    let dictionary: Dictionary = Parser::new(field).parse().map_err(|_| Unreadable)?;
    let mut found = [None; 3];
    for (slot, wanted) in found.iter_mut().zip(["limit", "remaining", "reset"]) {
        let Some((_, entry)) = dictionary.iter().find(|(k, _)| k.as_str() == wanted) else {
            continue;
        };
        let ListEntry::Item(item) = entry else { return Err(Unreadable) };
        *slot = Some(integer(&item.bare_item)?);
    }
    Ok(found)
}

fn items(field: &str) -> Result<Vec<Item>, Unreadable> {
    let list: List = Parser::new(field).parse().map_err(|_| Unreadable)?;
    if list.is_empty() {
        return Err(Unreadable);
    }
    list.into_iter()
        .take(MEMBERS_MAX)
        .map(|entry| match entry {
            ListEntry::Item(item) => Ok(item),
            ListEntry::InnerList(_) => Err(Unreadable),
        })
        .collect()
}

fn key(item: &Item) -> Result<Key, Unreadable> {
    let name = word(&item.bare_item).ok_or(Unreadable)?;
    let partition = match param(&item.params, "pk") {
        Some(BareItem::ByteSequence(bytes)) => Some(bytes.clone()),
        // The drafts disagree on the type of a partition key.
        Some(other) => word(other).map(String::into_bytes),
        None => None,
    };
    Ok(Key { name, partition })
}

fn param<'p>(params: &'p Parameters, wanted: &str) -> Option<&'p BareItem> {
    params.iter().find(|(key, _)| key.as_str() == wanted).map(|(_, value)| value)
}

fn optional(params: &Parameters, wanted: &str) -> Result<Option<u64>, Unreadable> {
    param(params, wanted).map(integer).transpose()
}

fn integer(item: &BareItem) -> Result<u64, Unreadable> {
    let value = item.as_integer().ok_or(Unreadable)?;
    u64::try_from(i64::from(value)).map_err(|_| Unreadable)
}

fn word(item: &BareItem) -> Option<String> {
    match item {
        BareItem::String(text) => Some(text.as_str().to_owned()),
        BareItem::Token(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}
