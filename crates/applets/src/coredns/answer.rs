//! Questions and answers as messages (RFC 1035).

use std::net::Ipv4Addr;

use simple_dns::rdata::{A, CNAME, OPT, PTR, RData, SOA, SRV, TXT};
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

use super::Dns;
use super::corefile::{Corefile, Kubernetes, plain};
use super::zone::{Directory, Kind, Meaning, Record, as_record, meaning};

/// Bytes of an answer by UDP when the question does not allow more (RFC 1035, section 4.2.1).
const SMALL: usize = 512;
/// The most that is sent by UDP; more would come in fragments (DNS flag day 2020).
const LARGE: usize = 1232;
/// How long the addresses of the Corefile's own names may be kept.
const HOSTS_TTL: u32 = 3600;

/// What a question comes to.
pub(super) enum Outcome {
    /// An answer of so many bytes at most, ready to be sent.
    Answered { message: Vec<u8>, code: RCODE },
    /// Others have to be asked.
    Forward,
    /// Not a question; no answer is due.
    Nothing,
}

/// What was asked, for the log.
pub(super) struct Asked {
    pub(super) id: u16,
    pub(super) name: String,
    pub(super) kind: String,
}

/// The first question of a message.
pub(super) fn asked(message: &[u8]) -> Option<Asked> {
    let packet = Packet::parse(message).ok()?;
    let question = packet.questions.first()?;
    let kind = match question.qtype {
        QTYPE::TYPE(kind) => format!("{kind:?}"),
        other => format!("{other:?}"),
    };
    Some(Asked { id: packet.id(), name: format!("{}.", question.qname), kind })
}

/// Answers what can be answered here. `datagram`: by UDP, where an answer has to be short.
pub(super) fn answer(dns: &Dns, message: &[u8], datagram: bool) -> Outcome {
    let Ok(question) = Packet::parse(message) else { return Outcome::Nothing };
    if question.has_flags(PacketFlag::RESPONSE) {
        return Outcome::Nothing;
    }
    let room = match (datagram, question.opt()) {
        (false, _) => usize::from(u16::MAX),
        (true, Some(opt)) => usize::from(opt.udp_packet_size).clamp(SMALL, LARGE),
        (true, None) => SMALL,
    };
    let corefile = dns.corefile();
    let refused = |code| finish(reply(&question, code), room);
    if question.opcode() != OPCODE::StandardQuery {
        return refused(RCODE::NotImplemented);
    }
    let [asked] = question.questions.as_slice() else { return refused(RCODE::FormatError) };
    let name = plain(&asked.qname.to_string());
    let kind = match asked.qtype {
        QTYPE::TYPE(TYPE::A) => Kind::Address,
        QTYPE::TYPE(TYPE::SRV) => Kind::Server,
        QTYPE::TYPE(TYPE::PTR) => Kind::Pointer,
        QTYPE::TYPE(TYPE::TXT) => Kind::Text,
        _ => Kind::Other,
    };
    if let Some(records) = fixed(&corefile, &name, kind) {
        return finish(known(&question, &name, &records, HOSTS_TTL), room);
    }
    let (Some(config), Some(cluster)) = (&corefile.kubernetes, &dns.cluster) else {
        return Outcome::Forward;
    };
    if !cluster.is_synced() {
        return refused(RCODE::ServerFailure);
    }
    resolve(&question, &name, kind, config, cluster, room)
}

/// Answers from the view of the cluster.
fn resolve(
    question: &Packet<'_>,
    name: &str,
    kind: Kind,
    config: &Kubernetes,
    cluster: &dyn Directory,
    room: usize,
) -> Outcome {
    match meaning(name, kind, config, cluster) {
        Meaning::NotOurs => Outcome::Forward,
        Meaning::Unknown { zone } => {
            let mut reply = reply(question, RCODE::NameError);
            reply.name_servers.extend(authority(&zone, config.ttl));
            finish(reply, room)
        }
        Meaning::Known(records) => {
            let mut reply = known(question, name, &records, config.ttl);
            if records.is_empty() {
                let zone = config.zones.iter().find(|zone| name.ends_with(zone.as_str()));
                reply.name_servers.extend(zone.and_then(|zone| authority(zone, config.ttl)));
            }
            finish(reply, room)
        }
    }
}

/// What the Corefile itself says about a name.
fn fixed(corefile: &Corefile, name: &str, kind: Kind) -> Option<Vec<Record>> {
    let mut own = corefile.hosts.iter().filter(|(known, _)| known == name).peekable();
    own.peek()?;
    Some(own.filter(|_| kind == Kind::Address).filter_map(|(_, address)| as_record(*address)).collect())
}

/// A message that says that nobody could be asked.
pub(super) fn failure(message: &[u8]) -> Option<Vec<u8>> {
    let question = Packet::parse(message).ok()?;
    reply(&question, RCODE::ServerFailure).build_bytes_vec_compressed().ok()
}

fn reply<'a>(question: &Packet<'a>, code: RCODE) -> Packet<'a> {
    let mut reply = Packet::new_reply(question.id());
    reply.questions.clone_from(&question.questions);
    for flag in [PacketFlag::RECURSION_DESIRED] {
        if question.has_flags(flag) {
            reply.set_flags(flag | PacketFlag::RECURSION_AVAILABLE);
        }
    }
    if matches!(code, RCODE::NoError | RCODE::NameError) {
        reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    }
    *reply.rcode_mut() = code;
    if question.opt().is_some() {
        let size = u16::try_from(LARGE).unwrap_or(u16::MAX);
        *reply.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: size, version: 0 });
    }
    reply
}

fn known<'a>(question: &Packet<'a>, name: &str, records: &[Record], ttl: u32) -> Packet<'a> {
    let mut reply = reply(question, RCODE::NoError);
    let own = Name::new(name).map(Name::into_owned);
    let Ok(own) = own else { return reply };
    let record = |name: &Name<'static>, data| ResourceRecord::new(name.clone(), CLASS::IN, ttl, data);
    let address = |address: &Ipv4Addr| RData::A(A::from(*address));
    for each in records {
        let data = match each {
            Record::Address(known) => Some(address(known)),
            Record::Alias(target) => named(target).map(|target| RData::CNAME(CNAME(target))),
            Record::Pointer(target) => named(target).map(|target| RData::PTR(PTR(target))),
            Record::Text(text) => TXT::new().with_string(text).ok().map(|text| RData::TXT(text.into_owned())),
            Record::Server { port, target, addresses } => named(target).map(|target| {
                reply.additional_records.extend(addresses.iter().map(|known| record(&target, address(known))));
                RData::SRV(SRV { priority: 0, weight: 100, port: *port, target })
            }),
        };
        reply.answers.extend(data.map(|data| record(&own, data)));
    }
    // Who takes the first of several takes another one each time.
    if let Some(turn) = usize::from(question.id()).checked_rem(reply.answers.len()) {
        reply.answers.rotate_left(turn);
    }
    reply
}

fn named(name: &str) -> Option<Name<'static>> {
    Name::new(name).ok().map(Name::into_owned)
}

/// Who is in charge of the zone: goes with every "there is no such thing", and says how long that holds.
fn authority(zone: &str, ttl: u32) -> Option<ResourceRecord<'static>> {
    let soa = SOA {
        mname: named(&format!("ns.dns.{zone}"))?,
        rname: named(&format!("hostmaster.{zone}"))?,
        serial: 1,
        refresh: 7200,
        retry: 1800,
        expire: 86400,
        minimum: ttl,
    };
    Some(ResourceRecord::new(named(zone)?, CLASS::IN, ttl, RData::SOA(soa)))
}

/// The message; one that does not fit says so, and is asked for again by TCP.
fn finish(mut reply: Packet<'_>, room: usize) -> Outcome {
    let code = reply.rcode();
    let message = match reply.build_bytes_vec_compressed() {
        Ok(message) if message.len() <= room => message,
        _ => {
            reply.answers.clear();
            reply.additional_records.clear();
            reply.name_servers.clear();
            reply.set_flags(PacketFlag::TRUNCATION);
            reply.build_bytes_vec_compressed().unwrap_or_default()
        }
    };
    Outcome::Answered { message, code }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, RwLock};

    use simple_dns::{QCLASS, Question};

    use super::*;

    fn dns() -> Dns {
        let hosts: String = (0..100).map(|number| format!("  10.0.0.{number} many\n")).collect();
        let corefile = format!(".:53 {{\n hosts {{\n  10.0.0.9 shop.example\n{hosts} }}\n}}");
        Dns {
            corefile: RwLock::new(Arc::new(corefile.parse().unwrap())),
            cluster: None,
            others: crate::coredns::forward::Others::default(),
        }
    }

    fn question(name: &str, kind: TYPE) -> Packet<'_> {
        let mut packet = Packet::new_query(7);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        packet.questions.push(Question::new(
            Name::new_unchecked(name),
            QTYPE::TYPE(kind),
            QCLASS::CLASS(CLASS::IN),
            false,
        ));
        packet
    }

    fn ask(packet: &Packet<'_>, datagram: bool) -> Vec<u8> {
        let message = packet.build_bytes_vec().unwrap();
        match answer(&dns(), &message, datagram) {
            Outcome::Answered { message, .. } => message,
            Outcome::Forward => b"forward".to_vec(),
            Outcome::Nothing => Vec::new(),
        }
    }

    #[test]
    fn an_answer_carries_its_question_and_what_was_found() {
        let message = ask(&question("Shop.Example", TYPE::A), true);
        let reply = Packet::parse(&message).unwrap();
        assert_eq!((reply.id(), reply.rcode(), reply.questions.len()), (7, RCODE::NoError, 1));
        assert!(reply.has_flags(PacketFlag::RESPONSE | PacketFlag::AUTHORITATIVE_ANSWER));
        assert_eq!(reply.answers[0].rdata, RData::A(A::from(Ipv4Addr::new(10, 0, 0, 9))));
        let message = ask(&question("shop.example", TYPE::AAAA), true);
        assert!(Packet::parse(&message).unwrap().answers.is_empty(), "the name is known, of this kind there is none");
        assert_eq!(ask(&question("example.com", TYPE::A), true), b"forward");
    }

    #[test]
    fn what_does_not_fit_is_asked_for_again() {
        let short = ask(&question("many", TYPE::A), true);
        let reply = Packet::parse(&short).unwrap();
        assert!(reply.has_flags(PacketFlag::TRUNCATION) && reply.answers.is_empty() && short.len() <= SMALL);
        let long = ask(&question("many", TYPE::A), false);
        assert_eq!(Packet::parse(&long).unwrap().answers.len(), 100);
        let mut extended = question("shop.example", TYPE::A);
        *extended.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: 4096, version: 0 });
        let message = ask(&extended, true);
        assert!(Packet::parse(&message).unwrap().opt().is_some());
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        assert!(matches!(answer(&dns(), b"GET / HTTP/1.1\r\n", true), Outcome::Nothing));
        assert!(matches!(answer(&dns(), b"", true), Outcome::Nothing));
        let reply = Packet::new_reply(1).build_bytes_vec().unwrap();
        assert!(
            matches!(answer(&dns(), &reply, true), Outcome::Nothing),
            "two servers would answer each other for ever"
        );
        let none = Packet::new_query(9);
        let message = ask(&none, true);
        assert_eq!(Packet::parse(&message).unwrap().rcode(), RCODE::FormatError);
    }
}
