//! A call and its reply: *remote procedure calls*, RFC 5531.

use crate::xdr::{Decoder, Encoder, Malformed};

const CALL: u32 = 0;
const REPLY: u32 = 1;
const ACCEPTED: u32 = 0;
const DENIED: u32 = 1;
/// The version of the protocol of calls.
const VERSION: u32 = 2;
/// Why a call was denied.
const RPC_MISMATCH: u32 = 0;
/// The longest credentials and verifiers that the standard allows.
const LONGEST_CREDENTIALS: usize = 400;

/// What became of a call that was not denied: `accept_stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// The procedure ran, and this is what it says; it may well say that it failed.
    Success,
    ProgramUnavailable,
    /// There is another version of the program, this one.
    ProgramMismatch(u32),
    ProcedureUnavailable,
    GarbageArguments,
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Chosen by the client, and repeated in the reply.
    id: u32,
    rpc_version: u32,
    pub(crate) program: u32,
    pub(crate) version: u32,
    pub(crate) procedure: u32,
}

impl Call {
    /// Reads what comes before the arguments. Who calls is read and not used: everybody is the server's user.
    pub(crate) fn read(record: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let id = record.u32()?;
        if record.u32()? != CALL {
            return Err(Malformed);
        }
        let rpc_version = record.u32()?;
        let call = Call { id, rpc_version, program: record.u32()?, version: record.u32()?, procedure: record.u32()? };
        for _credentials_then_verifier in 0..2 {
            let _flavor = record.u32()?;
            record.opaque(LONGEST_CREDENTIALS)?;
        }
        Ok(call)
    }

    /// The reply: of `answer`, with what the procedure wrote, or a refusal.
    pub(crate) fn reply(self, answer: impl FnOnce(Self) -> (Accepted, Encoder)) -> Vec<u8> {
        let mut reply = Encoder::new();
        reply.u32(self.id).u32(REPLY);
        if self.rpc_version != VERSION {
            reply.u32(DENIED).u32(RPC_MISMATCH).u32(VERSION).u32(VERSION);
            return reply.into_bytes();
        }
        let (accepted, result) = answer(self);
        // The verifier of the server: none, of length 0.
        reply.u32(ACCEPTED).u32(0).u32(0);
        match accepted {
            Accepted::Success => reply.u32(0).append(&result),
            Accepted::ProgramUnavailable => reply.u32(1),
            Accepted::ProgramMismatch(version) => reply.u32(2).u32(version).u32(version),
            Accepted::ProcedureUnavailable => reply.u32(3),
            Accepted::GarbageArguments => reply.u32(4),
        };
        reply.into_bytes()
    }
}
