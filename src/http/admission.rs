//! What requests may take up together: places among those under way, and memory for their bodies. What is
//! too much is answered 503 at once, before anything is done for it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// Requests under way at the same time.
const PLACES: usize = 1_024;
/// Bytes of bodies in memory at the same time.
const BODIES: usize = 32 << 20;
/// One permit of the bytes.
const PERMIT_BYTES: usize = 1_024;

/// The room there is; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(PLACES, BODIES)
    }
}

impl Room {
    fn of(places: usize, bodies: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            bodies: Arc::new(Semaphore::new(bodies / PERMIT_BYTES)),
        }
    }
}

/// Lets a request in when there is a place for it, and counts its body as it arrives.
pub(super) async fn admit(State(room): State<Room>, request: Request, next: Next) -> Response {
    let Ok(_place) = room.places.try_acquire() else {
        return refuse(request.into_body()).await;
    };
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let held = Held::default();
    let request = request.map(|body| {
        Body::new(Counted {
            body,
            room: Arc::clone(&room.bodies),
            held: held.clone(),
        })
    });
    let response = next.run(request).await;
    // what the handler made of the body is gone with the handler
    if held.too_much() {
        return Problem::busy().into_response();
    }
    response
}

/// Who still sends hears no answer: what comes is thrown away first. A limit stands around this.
async fn refuse(mut body: Body) -> Response {
    while let Some(Ok(_)) = body.frame().await {}
    Problem::busy().into_response()
}

/// What one request's body takes up.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    permits: Option<OwnedSemaphorePermit>,
    refused: bool,
}

impl Held {
    /// False when there is no room for so much more: then everything is given back.
    fn take(&self, room: &Arc<Semaphore>, bytes: usize) -> bool {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = &mut *guard;
        let wanted = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        match Arc::clone(room).try_acquire_many_owned(wanted) {
            Ok(more) => match &mut taken.permits {
                Some(permits) => permits.merge(more),
                none => *none = Some(more),
            },
            Err(_) => {
                *taken = Taken {
                    permits: None,
                    refused: true,
                }
            }
        }
        !taken.refused
    }

    fn too_much(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .refused
    }
}

struct Counted {
    body: Body,
    room: Arc<Semaphore>,
    held: Held,
}

/// The body was cut because all bodies together are too much.
#[derive(Debug, thiserror::Error)]
#[error("no room for the body")]
struct NoRoom;

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::BoxError>>> {
        loop {
            let polled = ready!(Pin::new(&mut self.body).poll_frame(context));
            let Some(Ok(frame)) = &polled else {
                let end = self.held.too_much().then(|| Err(NoRoom.into()));
                return Poll::Ready(polled.map(|frame| frame.map_err(Into::into)).or(end));
            };
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            // whoever is refused is heard out, so that they hear the answer
            if !self.held.too_much() && self.held.take(&self.room, bytes) {
                return Poll::Ready(polled.map(|frame| frame.map_err(Into::into)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::{StatusCode, header};
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn server(room: &Room) -> Router {
        Router::new()
            .route("/", post(async |body: Bytes| body.len().to_string()))
            .layer(from_fn_with_state(room.clone(), admit))
    }

    async fn sent(server: Router, bytes: usize) -> Result<Response, Box<dyn std::error::Error>> {
        let request = Request::post("/").body(Body::from(vec![0; bytes]))?;
        Ok(server.oneshot(request).await?)
    }

    #[tokio::test]
    async fn a_body_is_counted_while_its_request_is_under_way() -> Outcome {
        let room = Room::of(1, 10 * PERMIT_BYTES);
        for _ in 0..3 {
            let reply = sent(server(&room), 10 * PERMIT_BYTES).await?;
            assert_eq!(reply.status(), StatusCode::OK);
            assert_eq!(reply.into_body().collect().await?.to_bytes(), "10240");
        }
        Ok(())
    }

    #[tokio::test]
    async fn one_body_more_than_there_is_room_for_is_refused_for_now() -> Outcome {
        let room = Room::of(8, 10 * PERMIT_BYTES);
        let held = Held::default();
        assert!(held.take(&room.bodies, 5 * PERMIT_BYTES));
        let reply = sent(server(&room), 6 * PERMIT_BYTES).await?;
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(reply.headers().contains_key(header::RETRY_AFTER));
        drop(held);
        let reply = sent(server(&room), 6 * PERMIT_BYTES).await?;
        assert_eq!(reply.status(), StatusCode::OK);
        Ok(())
    }

    #[tokio::test]
    async fn one_request_more_than_there_are_places_for_is_refused_for_now() -> Outcome {
        let room = Room::of(1, PERMIT_BYTES);
        let place = room.places.try_acquire()?;
        let reply = sent(server(&room), 1).await?;
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(reply.headers().contains_key(header::RETRY_AFTER));
        drop(place);
        assert_eq!(sent(server(&room), 1).await?.status(), StatusCode::OK);
        Ok(())
    }
}
