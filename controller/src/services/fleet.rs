//! `FleetService`.

mod drains;
mod inventory;
mod safeguards;

use super::sessions::{Asking, Heard, timeout_ms};
use super::{Error, present};
use crate::driver::Handle;
use crate::peer::require_operator;
use crate::sessions::Queries;
use curfew_controller_core::{Core, FleetError};
use curfew_proto::convert::session_filter;
use curfew_proto::v1;
use curfew_proto::v1::fleet_service_server::FleetService;
use curfew_types::SessionFilter;
use curfew_types::label::Labels;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use inventory::{Filter, host_name};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// Answers that wait for a slow client.
const ANSWER_QUEUE: usize = 64;

/// The service.
pub struct Fleet {
    handle: Handle,
    queries: Arc<Queries>,
}

type SessionsStream = BoxStream<'static, Result<v1::ListSessionsResponse, Status>>;

impl Fleet {
    /// A service over the driver behind `handle`.
    pub fn new(handle: Handle, queries: Arc<Queries>) -> Fleet {
        Fleet { handle, queries }
    }

    async fn list_sessions(&self, request: v1::ListSessionsRequest) -> Result<SessionsStream, Error> {
        let filter = Filter::new(&request.label_selector, &request.hosts, &request.guests)?;
        let timeout_ms = timeout_ms("timeout", request.timeout)?;
        let meant = session_filter("filter", request.filter)?;
        let look = move |core: &mut Core, _| core.guests(None, usize::MAX, |guest| filter.wants(guest));
        let guests = self.handle.ask_safer(look).await?.value;
        if guests.is_empty() {
            return Err(Error::NotFound(
                "no guest fits the selection; `curfew guest list` shows what there is".into(),
            ));
        }
        let (tx, rx) = mpsc::channel(ANSWER_QUEUE);
        let asking = Asking { handle: self.handle.clone(), queries: self.queries.clone(), timeout_ms, tx };
        tokio::spawn(asking.run(guests));
        Ok(ReceiverStream::new(rx).map(move |heard| Ok(listed(heard, &meant))).boxed())
    }
}

fn listed(heard: Heard, meant: &SessionFilter) -> v1::ListSessionsResponse {
    let Heard { view, code, message, mut sessions, listed } = heard;
    let all = sessions.len();
    sessions.retain(|session| listed.mismatch(meant, session).is_none());
    v1::ListSessionsResponse {
        guest_id: view.guest.id.to_string(),
        guest_name: view.guest.name.to_string(),
        host: view.host.to_string(),
        status: Some(code.into()),
        message,
        left_out_count: u32::try_from(all - sessions.len()).unwrap_or(u32::MAX),
        sessions,
    }
}

#[tonic::async_trait]
impl FleetService for Fleet {
    type ListSessionsStream = SessionsStream;

    async fn list_hosts(
        &self,
        request: Request<v1::ListHostsRequest>,
    ) -> Result<Response<v1::ListHostsResponse>, Status> {
        require_operator(&request)?;
        Ok(Response::new(self.list_hosts(request.into_inner()).await?))
    }

    async fn get_host(
        &self,
        request: Request<v1::GetHostRequest>,
    ) -> Result<Response<v1::GetHostResponse>, Status> {
        require_operator(&request)?;
        let name = host_name("name", &request.into_inner().name)?;
        let host = self.handle.ask_safer(move |core, _| core.host(&name)).await.map_err(Error::from)?;
        let host = host.value.map_err(Error::from)?;
        Ok(Response::new(v1::GetHostResponse { host: Some(present::host(host)) }))
    }

    async fn label_host(
        &self,
        request: Request<v1::LabelHostRequest>,
    ) -> Result<Response<v1::LabelHostResponse>, Status> {
        require_operator(&request)?;
        let request = request.into_inner();
        let name = host_name("name", &request.name)?;
        let (set, remove) = (labels(request.set), request.remove);
        let host = self
            .handle
            .ask(move |core, _| core.label_host(&name, &set, &remove))
            .await
            .map_err(Error::from)?;
        let host = host.map_err(Error::from)?;
        Ok(Response::new(v1::LabelHostResponse { host: Some(present::host(host)) }))
    }

    async fn remove_host(
        &self,
        request: Request<v1::RemoveHostRequest>,
    ) -> Result<Response<v1::RemoveHostResponse>, Status> {
        let by = require_operator(&request)?;
        let request = request.into_inner();
        let name = host_name("name", &request.name)?;
        let (removed, force) = (name.clone(), request.force);
        let done = self
            .handle
            .ask(move |core, now| core.remove_host(now, &name, force))
            .await
            .map_err(Error::from)?;
        done.map_err(Error::from)?;
        tracing::info!(host = %removed, by = ?by, "host removed");
        Ok(Response::new(v1::RemoveHostResponse {}))
    }

    async fn list_guests(
        &self,
        request: Request<v1::ListGuestsRequest>,
    ) -> Result<Response<v1::ListGuestsResponse>, Status> {
        require_operator(&request)?;
        Ok(Response::new(self.list_guests(request.into_inner()).await?))
    }

    async fn get_guest(
        &self,
        request: Request<v1::GetGuestRequest>,
    ) -> Result<Response<v1::GetGuestResponse>, Status> {
        require_operator(&request)?;
        let guest = request.into_inner().guest;
        if guest.is_empty() {
            return Err(Error::missing("guest").into());
        }
        let look = move |core: &mut Core, _| {
            let guest = core.guest(&guest)?;
            let held = core.is_held(&guest.guest.id);
            Ok::<_, FleetError>(present::guest(guest, held))
        };
        let guest = self.handle.ask_safer(look).await.map_err(Error::from)?.value.map_err(Error::from)?;
        Ok(Response::new(v1::GetGuestResponse { guest: Some(guest) }))
    }

    async fn label_guest(
        &self,
        request: Request<v1::LabelGuestRequest>,
    ) -> Result<Response<v1::LabelGuestResponse>, Status> {
        require_operator(&request)?;
        let request = request.into_inner();
        if request.guest.is_empty() {
            return Err(Error::missing("guest").into());
        }
        let (set, remove) = (labels(request.set), request.remove);
        let work = move |core: &mut Core, _| {
            let guest = core.label_guest(&request.guest, &set, &remove)?;
            let held = core.is_held(&guest.guest.id);
            Ok::<_, FleetError>(present::guest(guest, held))
        };
        let guest = self.handle.ask(work).await.map_err(Error::from)?.map_err(Error::from)?;
        Ok(Response::new(v1::LabelGuestResponse { guest: Some(guest) }))
    }

    async fn list_sessions(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<Self::ListSessionsStream>, Status> {
        require_operator(&request)?;
        Ok(Response::new(self.list_sessions(request.into_inner()).await?))
    }

    async fn hold_guest(
        &self,
        request: Request<v1::HoldGuestRequest>,
    ) -> Result<Response<v1::HoldGuestResponse>, Status> {
        let by = require_operator(&request)?;
        Ok(Response::new(self.hold(by, request.into_inner()).await?))
    }

    async fn release_guest(
        &self,
        request: Request<v1::ReleaseGuestRequest>,
    ) -> Result<Response<v1::ReleaseGuestResponse>, Status> {
        let by = require_operator(&request)?;
        Ok(Response::new(self.release(by, request.into_inner()).await?))
    }

    async fn list_holds(
        &self,
        request: Request<v1::ListHoldsRequest>,
    ) -> Result<Response<v1::ListHoldsResponse>, Status> {
        require_operator(&request)?;
        Ok(Response::new(self.list_holds(request.into_inner()).await?))
    }

    async fn protect_users(
        &self,
        request: Request<v1::ProtectUsersRequest>,
    ) -> Result<Response<v1::ProtectUsersResponse>, Status> {
        let by = require_operator(&request)?;
        Ok(Response::new(self.protect(by, request.into_inner()).await?))
    }

    async fn unprotect_users(
        &self,
        request: Request<v1::UnprotectUsersRequest>,
    ) -> Result<Response<v1::UnprotectUsersResponse>, Status> {
        let by = require_operator(&request)?;
        Ok(Response::new(self.unprotect(by, request.into_inner()).await?))
    }

    async fn list_protected_users(
        &self,
        request: Request<v1::ListProtectedUsersRequest>,
    ) -> Result<Response<v1::ListProtectedUsersResponse>, Status> {
        require_operator(&request)?;
        Ok(Response::new(self.list_protected().await?))
    }

    async fn drain_guest(
        &self,
        request: Request<v1::DrainGuestRequest>,
    ) -> Result<Response<v1::DrainGuestResponse>, Status> {
        let by = require_operator(&request)?;
        Ok(Response::new(self.drain(by, request.into_inner()).await?))
    }

    async fn undrain_guest(
        &self,
        request: Request<v1::UndrainGuestRequest>,
    ) -> Result<Response<v1::UndrainGuestResponse>, Status> {
        let by = require_operator(&request)?;
        Ok(Response::new(self.undrain(by, request.into_inner()).await?))
    }

    async fn list_drains(
        &self,
        request: Request<v1::ListDrainsRequest>,
    ) -> Result<Response<v1::ListDrainsResponse>, Status> {
        require_operator(&request)?;
        Ok(Response::new(self.list_drains(request.into_inner()).await?))
    }

    async fn freeze(
        &self,
        request: Request<v1::FreezeRequest>,
    ) -> Result<Response<v1::FreezeResponse>, Status> {
        let by = require_operator(&request)?;
        Ok(Response::new(self.freeze(by, request.into_inner()).await?))
    }

    async fn unfreeze(
        &self,
        request: Request<v1::UnfreezeRequest>,
    ) -> Result<Response<v1::UnfreezeResponse>, Status> {
        let by = require_operator(&request)?;
        Ok(Response::new(self.unfreeze(by).await?))
    }

    async fn get_freeze(
        &self,
        request: Request<v1::GetFreezeRequest>,
    ) -> Result<Response<v1::GetFreezeResponse>, Status> {
        require_operator(&request)?;
        Ok(Response::new(self.get_freeze().await?))
    }
}

fn labels(pairs: HashMap<String, String>) -> Labels {
    pairs.into_iter().collect()
}
