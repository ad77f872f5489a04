//! The query of a request, read as the real server's generated conversions read it.

use podlab_api::error::ApiError;

/// Parameters in a query at most.
const PARAMETERS: usize = 1024;

/// Names and values, in order; a name may come more than once (`command=a&command=b`).
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// # Errors
    /// When there are too many parameters.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let pairs: Vec<(String, String)> =
            form_urlencoded::parse(text.as_bytes()).take(PARAMETERS + 1).map(|(k, v)| (k.into(), v.into())).collect();
        if pairs.len() > PARAMETERS {
            return Err(ApiError::BadRequest(format!("more than {PARAMETERS} query parameters")));
        }
        Ok(Self(pairs))
    }

    /// The first value of a parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first value, unless it is empty.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|value| !value.is_empty())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A bare `?watch` is true, as are all values but `0` and `false`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    /// # Errors
    /// When the value is there but is no number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.given(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| {
            ApiError::BadRequest(format!("strconv.ParseInt: parsing {value:?}: invalid syntax (parameter {name})"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_upstream_does() {
        let query = Query::parse("watch&follow=0&tty=False&stdin=yes&command=a%20b&command=c+d&limit=5&name=").unwrap();
        assert!(query.flag("watch") && query.flag("stdin"));
        assert!(!query.flag("follow") && !query.flag("tty") && !query.flag("absent"));
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["a b", "c d"]);
        assert_eq!((query.number("limit").unwrap(), query.number("absent").unwrap()), (Some(5), None));
        assert_eq!((query.text("name"), query.given("name")), (Some(""), None));
        assert!(query.number("stdin").is_err());
        assert!(Query::parse(&"a&".repeat(2000)).is_err());
    }
}
