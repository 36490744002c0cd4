//! Pages of hosts and guests, and what they can be filtered by.

use super::Fleet;
use crate::services::{Error, page, present};
use curfew_controller_core::fleet::GuestView;
use curfew_proto::v1;
use curfew_types::glob::Glob;
use curfew_types::selector::LabelSelector;
use curfew_types::{GuestId, HostName};

impl Fleet {
    pub(super) async fn list_hosts(
        &self,
        request: v1::ListHostsRequest,
    ) -> Result<v1::ListHostsResponse, Error> {
        let selector = selector(&request.label_selector)?;
        let after = match page::parts::<1>(&request.page_token)? {
            Some([name]) => Some(host_name("page_token", &name)?),
            None => None,
        };
        let size = page::size(request.page_size);
        let look = move |core: &mut curfew_controller_core::Core, _| {
            core.hosts(after.as_ref(), size + 1, |host| {
                let label = |key: &str| match key {
                    "host" => Some(host.name.as_str()),
                    key => host.labels.get(key).map(String::as_str),
                };
                selector.as_ref().is_none_or(|selector| selector.matches_with(label))
            })
        };
        let mut hosts = self.handle.ask_safer(look).await?.value;
        let more = hosts.len() > size;
        hosts.truncate(size);
        let last = hosts.last().map(|host| host.name.to_string());
        Ok(v1::ListHostsResponse {
            next_page_token: last.filter(|_| more).map_or_else(String::new, |name| page::token(&[&name])),
            hosts: hosts.into_iter().map(present::host).collect(),
        })
    }

    pub(super) async fn list_guests(
        &self,
        request: v1::ListGuestsRequest,
    ) -> Result<v1::ListGuestsResponse, Error> {
        let filter = Filter::new(&request.label_selector, &request.hosts, &[])?;
        let after = match page::parts::<3>(&request.page_token)? {
            Some([host, name, id]) => {
                Some((host_name("page_token", &host)?, name, guest_id("page_token", &id)?))
            }
            None => None,
        };
        let size = page::size(request.page_size);
        let look = move |core: &mut curfew_controller_core::Core, _| {
            let after = after.as_ref().map(|(host, name, id)| (host, name.as_str(), id));
            let guests = core.guests(after, size + 1, |guest| filter.wants(guest));
            let held = |guest: GuestView| (core.is_held(&guest.guest.id), guest);
            guests.into_iter().map(held).collect::<Vec<_>>()
        };
        let mut guests = self.handle.ask_safer(look).await?.value;
        let more = guests.len() > size;
        guests.truncate(size);
        let token = |(_, last): &(bool, GuestView)| {
            page::token(&[last.host.as_str(), &last.guest.name, last.guest.id.as_str()])
        };
        Ok(v1::ListGuestsResponse {
            next_page_token: guests.last().filter(|_| more).map_or_else(String::new, token),
            guests: guests.into_iter().map(|(held, guest)| present::guest(guest, held)).collect(),
        })
    }
}

/// Which guests a listing wants.
pub(super) struct Filter {
    labels: Option<LabelSelector>,
    hosts: Vec<Glob>,
    guests: Vec<Glob>,
}

impl Filter {
    pub(super) fn new(labels: &str, hosts: &[String], guests: &[String]) -> Result<Filter, Error> {
        Ok(Filter {
            labels: selector(labels)?,
            hosts: globs("hosts", hosts)?,
            guests: globs("guests", guests)?,
        })
    }

    pub(super) fn wants(&self, view: &GuestView) -> bool {
        let any = |globs: &[Glob], texts: &[&str]| {
            globs.is_empty() || globs.iter().any(|glob| texts.iter().any(|text| glob.matches(text)))
        };
        any(&self.hosts, &[view.host.as_str()])
            && any(&self.guests, &[&view.guest.name, view.guest.id.as_str()])
            && self.labels.as_ref().is_none_or(|labels| labels.matches(&view.labels))
    }
}

fn selector(text: &str) -> Result<Option<LabelSelector>, Error> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: curfew_types::selector::SelectorError| {
        Error::invalid("label_selector", error.to_string())
    })
}

pub(super) fn globs(field: &'static str, texts: &[String]) -> Result<Vec<Glob>, Error> {
    let parse = |text: &String| {
        text.parse().map_err(|error: curfew_types::glob::GlobError| Error::invalid(field, error.to_string()))
    };
    texts.iter().map(parse).collect()
}

pub(super) fn host_name(field: &'static str, text: &str) -> Result<HostName, Error> {
    if text.is_empty() {
        return Err(Error::missing(field));
    }
    text.parse().map_err(|error: curfew_types::id::IdError| Error::invalid(field, error.to_string()))
}

pub(super) fn guest_id(field: &'static str, text: &str) -> Result<GuestId, Error> {
    text.parse().map_err(|error: curfew_types::id::IdError| Error::invalid(field, error.to_string()))
}
