//! The stable codes of all errors, and what they mean: `docs/reference/errors.md` is made from here.

use hyper::StatusCode;

macro_rules! codes {
    ($($code:ident $name:literal $status:ident, $meaning:literal, $advice:literal;)*) => {
        /// What went wrong, in a word that never changes: `extensions.code` of an error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum ErrorCode {
            $($code,)*
        }

        impl ErrorCode {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// As clients see it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)*
                }
            }

            /// The HTTP status that goes with it.
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$code => StatusCode::$status,)*
                }
            }

            /// What happened, for those who read the reference.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$code => $meaning,)*
                }
            }

            /// What a client should do.
            pub fn advice(self) -> &'static str {
                match self {
                    $(Self::$code => $advice,)*
                }
            }
        }
    };
}

codes! {
    EmailTaken "EMAIL_TAKEN" OK,
        "Another account has this e-mail address, in whatever case.",
        "Offer to log in instead.";
    InvalidCredentials "INVALID_CREDENTIALS" OK,
        "Unknown e-mail address, wrong password, or a disabled account. Which of them is never told.",
        "Let the user try again. Do not repeat the request as it is.";
    InvalidResetToken "INVALID_RESET_TOKEN" OK,
        "The reset token is none, was used, has expired, or was replaced by another.",
        "Ask an operator for another.";
    WeakPassword "WEAK_PASSWORD" OK,
        "The new password is too short, too long or easy to guess (see passwords.md).",
        "Show the message: it says why, and what to do.";
    InvalidEmail "INVALID_EMAIL" OK,
        "Not an e-mail address that can have an account: not valid, longer than 254 bytes, or with white space.",
        "Let the user correct it.";
    Unauthenticated "UNAUTHENTICATED" OK,
        "No token, one that does not verify, or one whose session has ended.",
        "Log in again.";
    TokenExpired "TOKEN_EXPIRED" OK,
        "The access token was good and is past its time.",
        "`refresh`, then repeat with the new token.";
    IdempotencyKeyReused "IDEMPOTENCY_KEY_REUSED" OK,
        "This Idempotency-Key came before, with another request.",
        "Take a new key for each request that is not a repetition.";
    RateLimited "RATE_LIMITED" TOO_MANY_REQUESTS,
        "Too many wrong passwords in a row for this e-mail address, whoever gave them. Nothing was checked.",
        "Repeat after `Retry-After` seconds, which `extensions.retryAfterSeconds` tells too.";
    Overloaded "OVERLOADED" SERVICE_UNAVAILABLE,
        "More passwords to hash than there is time for. Nothing was changed.",
        "Repeat after `Retry-After` seconds, which `extensions.retryAfterSeconds` tells too.";
    Unavailable "UNAVAILABLE" OK,
        "The database does not answer.",
        "Repeat in a while; a mutation with the `Idempotency-Key` that it had, for it may have been carried out.";
    Internal "INTERNAL" OK,
        "A fault of the service, whose cause is in its log.",
        "Report it, with the trace id of the answer (`X-Trace-Id`).";
    BadRequest "BAD_REQUEST" BAD_REQUEST,
        "Not a GraphQL request that can be carried out: no JSON, no valid document for this schema, over one of its limits, a NUL character in a password, or an Idempotency-Key that is none.",
        "Correct the program that sent it.";
    NotFound "NOT_FOUND" NOT_FOUND,
        "No such path.",
        "The API is at `/graphql`.";
    MethodNotAllowed "METHOD_NOT_ALLOWED" METHOD_NOT_ALLOWED,
        "The path has no such method, or a mutation came by GET.",
        "Use a method of the header `Allow`.";
    NotAcceptable "NOT_ACCEPTABLE" NOT_ACCEPTABLE,
        "The header `Accept` allows none of the media types of answers.",
        "Accept `application/graphql-response+json` or `application/json`.";
    RequestTimeout "REQUEST_TIMEOUT" REQUEST_TIMEOUT,
        "The body took more than ten seconds to arrive.",
        "Repeat on a faster connection.";
    PayloadTooLarge "PAYLOAD_TOO_LARGE" PAYLOAD_TOO_LARGE,
        "The body is longer than 64 KiB.",
        "Send less.";
    UnsupportedMediaType "UNSUPPORTED_MEDIA_TYPE" UNSUPPORTED_MEDIA_TYPE,
        "The body is not declared to be JSON in UTF-8.",
        "Send `Content-Type: application/json`.";
}
