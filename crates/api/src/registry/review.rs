//! The groups authentication.k8s.io and authorization.k8s.io, v1: questions that are answered and forgotten.

use super::{Resource, Storage, TEMPLATE, verbs};

const REVIEW: Resource = Resource { namespaced: false, verbs: verbs::CREATE, storage: Storage::None, ..TEMPLATE };

pub(super) fn resources() -> Vec<Resource> {
    const AUTHENTICATION: &str = "authentication.k8s.io";
    const AUTHORIZATION: &str = "authorization.k8s.io";
    vec![
        Resource {
            group: AUTHENTICATION,
            kind: "SelfSubjectReview",
            plural: "selfsubjectreviews",
            singular: "selfsubjectreview",
            schema: "io.k8s.api.authentication.v1.SelfSubjectReview",
            ..REVIEW
        },
        Resource {
            group: AUTHENTICATION,
            kind: "TokenReview",
            plural: "tokenreviews",
            singular: "tokenreview",
            schema: "io.k8s.api.authentication.v1.TokenReview",
            ..REVIEW
        },
        Resource {
            group: AUTHORIZATION,
            kind: "LocalSubjectAccessReview",
            plural: "localsubjectaccessreviews",
            singular: "localsubjectaccessreview",
            namespaced: true,
            schema: "io.k8s.api.authorization.v1.LocalSubjectAccessReview",
            ..REVIEW
        },
        Resource {
            group: AUTHORIZATION,
            kind: "SelfSubjectAccessReview",
            plural: "selfsubjectaccessreviews",
            singular: "selfsubjectaccessreview",
            schema: "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
            ..REVIEW
        },
        Resource {
            group: AUTHORIZATION,
            kind: "SelfSubjectRulesReview",
            plural: "selfsubjectrulesreviews",
            singular: "selfsubjectrulesreview",
            schema: "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
            ..REVIEW
        },
        Resource {
            group: AUTHORIZATION,
            kind: "SubjectAccessReview",
            plural: "subjectaccessreviews",
            singular: "subjectaccessreview",
            schema: "io.k8s.api.authorization.v1.SubjectAccessReview",
            ..REVIEW
        },
    ]
}
