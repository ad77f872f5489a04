//! Finds a field in a learner's file, to show the line it stands in.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// A manifest with the place of every value. JSON is YAML too.
#[derive(Debug)]
pub struct Manifest {
    documents: Vec<Spanned<Node>>,
}

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found<'path> {
    /// The deepest value that is there.
    pub location: Location,
    /// What is missing below it; `None` when the path was followed to its end.
    pub missing: Option<&'path str>,
}

#[derive(Debug)]
enum Node {
    Scalar(String),
    Sequence(Vec<Spanned<Node>>),
    Mapping(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl Manifest {
    /// Reads a manifest of one or more documents. The error is for a text that is not YAML.
    ///
    /// # Errors
    ///
    /// The parser's words, with a line.
    pub fn parse(text: &str) -> Result<Manifest, String> {
        let documents = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
        Ok(Manifest { documents })
    }

    /// Follows `path`, such as `spec.containers[name=kuard].ports`, as far as it goes, in the document in which it goes
    /// furthest.
    pub fn find<'path>(&self, path: &'path str) -> Option<Found<'path>> {
        let follow = |document| {
            Follow { depth: 0, found: Found { location: Location::UNKNOWN, missing: None } }.along(document, path)
        };
        self.documents.iter().map(follow).max_by_key(|follow| follow.depth).map(|follow| follow.found)
    }
}

struct Follow<'path> {
    depth: usize,
    found: Found<'path>,
}

impl<'path> Follow<'path> {
    fn along(mut self, document: &Spanned<Node>, path: &'path str) -> Self {
        let (mut here, mut rest) = (document, Some(path));
        self.found.location = document.referenced;
        while let Some(path) = rest {
            let (segment, next) = match path.split_once('.') {
                Some((segment, next)) => (segment, Some(next)),
                None => (path, None),
            };
            let Some((location, value)) = here.value.child(segment) else {
                self.found.missing = Some(segment);
                return self;
            };
            (here, rest) = (value, next);
            self.found.location = location;
            self.depth += 1;
        }
        self
    }
}

impl Node {
    /// The value a segment leads to (`ports`, `containers[0]`, `containers[name=kuard]`), and the place to point at: the
    /// key, or the item of the list.
    fn child(&self, segment: &str) -> Option<(Location, &Spanned<Node>)> {
        let (key, item) = match segment.strip_suffix(']').and_then(|segment| segment.split_once('[')) {
            Some((key, item)) => (key, Some(item)),
            None => (segment, None),
        };
        let Node::Mapping(fields) = self else { return None };
        let (key, value) = fields.iter().find(|(name, _)| name.value == key)?;
        let Some(item) = item else { return Some((key.referenced, value)) };
        let Node::Sequence(items) = &value.value else { return None };
        let found = match item.split_once('=') {
            Some((field, wanted)) => items.iter().find(|item| {
                item.value
                    .child(field)
                    .is_some_and(|(_, value)| matches!(&value.value, Node::Scalar(text) if text == wanted))
            }),
            None => items.get(item.parse::<usize>().ok()?),
        }?;
        Some((found.referenced, found))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(String::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = access.next_entry()? {
            fields.push(field);
        }
        Ok(Node::Mapping(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: kuard
  annotations: {team: whales}
spec:
  containers:
    - name: kuard
      ports:
        - {name: http, containerPort: 8080}
    - name: status
      image: nginx
";

    fn at(text: &str, path: &str) -> (u64, Option<String>) {
        let manifest = Manifest::parse(text).unwrap();
        let found = manifest.find(path).unwrap();
        (found.location.line(), found.missing.map(str::to_owned))
    }

    #[test]
    fn a_path_is_followed_as_far_as_it_goes() {
        assert_eq!(at(POD, "metadata.annotations"), (5, None));
        assert_eq!(at(POD, "metadata.annotations.team"), (5, None));
        assert_eq!(at(POD, "metadata.labels"), (3, Some("labels".to_owned())));
        assert_eq!(at(POD, "spec.containers[name=status]"), (11, None));
        assert_eq!(at(POD, "spec.containers[name=status].ports"), (11, Some("ports".to_owned())));
        assert_eq!(at(POD, "spec.containers[0].ports[name=http].containerPort"), (10, None));
        assert_eq!(at(POD, "spec.containers[9].ports"), (6, Some("containers[9]".to_owned())));
    }

    #[test]
    fn of_several_documents_the_one_that_fits_is_meant() {
        let two = format!("kind: ConfigMap\nmetadata: {{name: a}}\n---\n{POD}");
        assert_eq!(at(&two, "spec.containers[name=kuard].ports"), (12, None));
    }

    #[test]
    fn json_has_lines_too() {
        let json = "{\n  \"kind\": \"Pod\",\n  \"metadata\": {\n    \"name\": \"kuard\"\n  }\n}\n";
        assert_eq!(at(json, "metadata.name"), (4, None));
        assert_eq!(at(json, "metadata.labels"), (3, Some("labels".to_owned())));
    }

    #[test]
    fn text_that_is_no_yaml_is_refused() {
        assert!(Manifest::parse("a: [").is_err());
    }
}
