//! The fake's FleetService.

use super::{Service, page};
use curfew_proto::v1;
use curfew_proto::v1::fleet_service_server::FleetService;
use std::pin::Pin;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

#[tonic::async_trait]
impl FleetService for Service {
    type ListSessionsStream =
        Pin<Box<dyn Stream<Item = Result<v1::ListSessionsResponse, Status>> + Send + 'static>>;

    async fn list_hosts(&self, request: Request<v1::ListHostsRequest>) -> Answer<v1::ListHostsResponse> {
        let request = request.into_inner();
        let script = self.asked(format!("list hosts {}", request.page_size))?;
        let (hosts, next_page_token) = page(&script.hosts, request.page_size, &request.page_token);
        answer(v1::ListHostsResponse { hosts, next_page_token })
    }

    async fn get_host(&self, request: Request<v1::GetHostRequest>) -> Answer<v1::GetHostResponse> {
        let script = self.asked(format!("get host {}", request.get_ref().name))?;
        answer(v1::GetHostResponse { host: script.hosts.first().cloned() })
    }

    async fn label_host(&self, request: Request<v1::LabelHostRequest>) -> Answer<v1::LabelHostResponse> {
        let request = request.into_inner();
        let script = self.asked(format!("label {} {:?} {:?}", request.name, request.set, request.remove))?;
        answer(v1::LabelHostResponse { host: script.hosts.first().cloned() })
    }

    async fn remove_host(&self, request: Request<v1::RemoveHostRequest>) -> Answer<v1::RemoveHostResponse> {
        let request = request.into_inner();
        drop(self.asked(format!("remove {} {}", request.name, request.force))?);
        answer(v1::RemoveHostResponse {})
    }

    async fn list_guests(&self, request: Request<v1::ListGuestsRequest>) -> Answer<v1::ListGuestsResponse> {
        let request = request.into_inner();
        let script = self.asked(format!("list guests {}", request.page_size))?;
        let (guests, next_page_token) = page(&script.guests, request.page_size, &request.page_token);
        answer(v1::ListGuestsResponse { guests, next_page_token })
    }

    async fn get_guest(&self, request: Request<v1::GetGuestRequest>) -> Answer<v1::GetGuestResponse> {
        let script = self.asked(format!("get guest {}", request.get_ref().guest))?;
        answer(v1::GetGuestResponse { guest: script.guests.first().cloned() })
    }

    async fn label_guest(&self, request: Request<v1::LabelGuestRequest>) -> Answer<v1::LabelGuestResponse> {
        let request = request.into_inner();
        let script = self.asked(format!("label {} {:?} {:?}", request.guest, request.set, request.remove))?;
        answer(v1::LabelGuestResponse { guest: script.guests.first().cloned() })
    }

    async fn list_sessions(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Answer<Self::ListSessionsStream> {
        let filter = match &request.get_ref().filter {
            None => String::new(),
            filter => serde_json::to_string(filter).map_err(|_| Status::internal("no JSON"))?,
        };
        let script = self.asked(format!("list sessions {filter}").trim_end().into())?;
        let at_once: Vec<_> = script.sessions.iter().cloned().map(Ok).collect();
        let (gate, late) = script.slow_sessions.clone().unwrap_or_default();
        let late = async move {
            if !late.is_empty() {
                gate.notified().await;
            }
            tokio_stream::iter(late.into_iter().map(Ok).collect::<Vec<_>>())
        };
        let late = futures::FutureExt::flatten_stream(late);
        answer(Box::pin(futures::StreamExt::chain(tokio_stream::iter(at_once), late)))
    }

    async fn drain_guest(&self, request: Request<v1::DrainGuestRequest>) -> Answer<v1::DrainGuestResponse> {
        let request = request.into_inner();
        let seconds = request.drain_for.map_or(0, |time| time.seconds);
        let script = self.asked(format!("drain {} for {seconds} {}", request.guest, request.reason))?;
        answer(v1::DrainGuestResponse { drain: script.drains.first().cloned() })
    }

    async fn undrain_guest(
        &self,
        request: Request<v1::UndrainGuestRequest>,
    ) -> Answer<v1::UndrainGuestResponse> {
        let request = request.into_inner();
        let script =
            self.asked(format!("undrain {} {:?} {}", request.guest, request.operation_id, request.all))?;
        answer(v1::UndrainGuestResponse { drains: script.drains.clone() })
    }

    async fn list_drains(&self, request: Request<v1::ListDrainsRequest>) -> Answer<v1::ListDrainsResponse> {
        let request = request.into_inner();
        let script = self.asked("list drains".into())?;
        let (drains, next_page_token) = page(&script.drains, request.page_size, &request.page_token);
        let unconnected_host_count = script.unconnected_hosts;
        answer(v1::ListDrainsResponse { drains, next_page_token, unconnected_host_count })
    }

    async fn hold_guest(&self, request: Request<v1::HoldGuestRequest>) -> Answer<v1::HoldGuestResponse> {
        let request = request.into_inner();
        let end = request.expire_time.map(|time| format!(" until {}", time.seconds)).unwrap_or_default();
        let script = self.asked(format!("hold {} {}{end}", request.guest, request.reason))?;
        let hold = v1::Hold { expire_time: request.expire_time, ..script.holds[0].clone() };
        answer(v1::HoldGuestResponse { hold: Some(hold), recorded: !script.is_store_away })
    }

    async fn release_guest(
        &self,
        request: Request<v1::ReleaseGuestRequest>,
    ) -> Answer<v1::ReleaseGuestResponse> {
        drop(self.asked(format!("release {}", request.get_ref().guest))?);
        answer(v1::ReleaseGuestResponse {})
    }

    async fn list_holds(&self, request: Request<v1::ListHoldsRequest>) -> Answer<v1::ListHoldsResponse> {
        let request = request.into_inner();
        let script = self.asked("list holds".into())?;
        let (holds, next_page_token) = page(&script.holds, request.page_size, &request.page_token);
        answer(v1::ListHoldsResponse { holds, next_page_token })
    }

    async fn protect_users(
        &self,
        request: Request<v1::ProtectUsersRequest>,
    ) -> Answer<v1::ProtectUsersResponse> {
        let request = request.into_inner();
        let script = self.asked(format!("protect {:?} {}", request.patterns, request.reason))?;
        answer(v1::ProtectUsersResponse { users: script.users.clone(), recorded: !script.is_store_away })
    }

    async fn unprotect_users(
        &self,
        request: Request<v1::UnprotectUsersRequest>,
    ) -> Answer<v1::UnprotectUsersResponse> {
        let script = self.asked(format!("unprotect {:?}", request.get_ref().patterns))?;
        answer(v1::UnprotectUsersResponse { users: script.users.clone() })
    }

    async fn list_protected_users(
        &self,
        _: Request<v1::ListProtectedUsersRequest>,
    ) -> Answer<v1::ListProtectedUsersResponse> {
        let script = self.asked("list protected users".into())?;
        answer(v1::ListProtectedUsersResponse { users: script.users.clone(), pending_host_count: 2 })
    }

    async fn freeze(&self, request: Request<v1::FreezeRequest>) -> Answer<v1::FreezeResponse> {
        let request = request.into_inner();
        let script = self.asked(format!("freeze {} {}", request.reason, request.hard))?;
        answer(v1::FreezeResponse { freeze: script.freeze.clone(), recorded: !script.is_store_away })
    }

    async fn unfreeze(&self, _: Request<v1::UnfreezeRequest>) -> Answer<v1::UnfreezeResponse> {
        drop(self.asked("unfreeze".into())?);
        answer(v1::UnfreezeResponse {})
    }

    async fn get_freeze(&self, _: Request<v1::GetFreezeRequest>) -> Answer<v1::GetFreezeResponse> {
        let script = self.asked("get freeze".into())?;
        answer(v1::GetFreezeResponse { freeze: script.freeze.clone() })
    }
}
