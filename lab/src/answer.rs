//! Carries out what is asked of a running stack, by another terminal or by the page.

use anyhow::Result;

use crate::{
    control::{Answer, Request},
    process::describe,
    stack::Stack,
};

/// Does what is asked, and says what came of it.
pub async fn answer(stack: &Stack, request: Request) -> Answer {
    carry_out(stack, request)
        .await
        .unwrap_or_else(|error| Answer::Refused(format!("{error:#}")))
}

async fn carry_out(stack: &Stack, request: Request) -> Result<Answer> {
    Ok(match request {
        Request::Status => Answer::Status(stack.status().await),
        Request::Start(part) => {
            let took = stack.start_part(&part).await?;
            Answer::Done(format!(
                "{part} is ready after {:.1} s.",
                took.as_secs_f64()
            ))
        }
        Request::Stop(part) => {
            let status = stack.stop_part(&part).await?;
            Answer::Done(format!(
                "{part} has stopped with {}: `./dev start {part}` brings it back.",
                describe(status)
            ))
        }
        Request::Kill(part) => {
            stack.kill_part(&part).await?;
            Answer::Done(format!(
                "{part} is killed: `./dev start {part}` brings it back."
            ))
        }
        Request::Pause(part) => {
            stack.pause_part(&part)?;
            Answer::Done(format!(
                "{part} is paused: `./dev start {part}` resumes it."
            ))
        }
        Request::Weight(part, weight) => {
            stack.set_weight(&part, weight).await?;
            Answer::Done(format!("{part} has the weight {weight}."))
        }
        Request::Down => Answer::Done("Stopping.".into()),
    })
}
