//! Tests of every host with recorded deliveries.

use registry_tests::webhooks::{COMMIT, PROPOSALS, PUSHES, Recorded};

use super::{ALL, Event, Proposal, ProposalAction, Push, RepositoryName, of_path};

fn event(recorded: &Recorded, name: &str, body: &str) -> Event {
    let host = of_path(&format!("/webhooks/{}", recorded.host)).unwrap();
    assert_eq!(host.event_header, recorded.event.0);
    host.event(name, body.as_bytes()).unwrap()
}

fn push(recorded: &Recorded, body: &str) -> Push {
    match event(recorded, recorded.event.1, body) {
        Event::Push(push) => push,
        other => panic!("{recorded:?}: {other:?}"),
    }
}

fn proposal(recorded: &Recorded, name: &str, body: &str) -> Option<Proposal> {
    match event(recorded, name, body) {
        Event::Proposal(proposal) => Some(*proposal),
        Event::Other => None,
        other => panic!("{name}: {other:?}"),
    }
}

fn is_data_center(recorded: &Recorded) -> bool {
    matches!(recorded.event.1, "repo:refs_changed" | "pr:opened")
}

#[test]
fn path_of_a_host_leads_to_it_alone() {
    for host in ALL {
        assert_eq!(of_path(&format!("/webhooks/{}", host.name)).unwrap().name, host.name);
    }
    for path in ["/webhooks/", "/webhooks/GitHub", "/webhooks/github/", "/webhooks/svn", "/webhooks", "/refresh"] {
        assert!(of_path(path).is_none(), "{path}");
    }
}

#[test]
fn push_of_every_host_has_its_repository_branch_and_commit() {
    for recorded in &PUSHES {
        let Push { repository, updates, default_branch } = push(recorded, recorded.body);
        let path = if is_data_center(recorded) { "scm/EXAMPLE/registry" } else { "example/registry" };
        assert_eq!(repository, RepositoryName { path: path.into(), github_id: None }, "{recorded:?}");
        assert_eq!(updates[0].branch(), Some("main"));
        assert_eq!(updates[0].after.as_ref().map(|commit| commit.as_str()), Some(COMMIT));
        let expected = (recorded.host != "bitbucket").then(|| "main".to_owned());
        assert_eq!(default_branch, expected, "{recorded:?}");
    }
}

#[test]
fn push_that_deletes_a_branch_has_no_commit() {
    for recorded in &PUSHES {
        let mut body: serde_json::Value = serde_json::from_str(recorded.body).unwrap();
        match recorded.event.1 {
            "repo:push" => body["push"]["changes"][0]["new"] = serde_json::Value::Null,
            "repo:refs_changed" => body["changes"][0]["toHash"] = "0".repeat(40).into(),
            _ => body["after"] = "0".repeat(40).into(),
        }
        let update = push(recorded, &body.to_string()).updates.remove(0);
        assert_eq!((update.branch(), &update.after), (Some("main"), &None), "{recorded:?}");
    }
    let last = push(&PUSHES[4], PUSHES[4].body).updates.pop().unwrap();
    assert_eq!((last.branch(), &last.after), (Some("clay"), &None));
}

#[test]
fn proposal_of_every_host_has_its_head_author_and_labels() {
    for recorded in &PROPOSALS {
        let found = proposal(recorded, recorded.event.1, recorded.body).unwrap();
        let labels: Vec<String> = match recorded.host {
            "bitbucket" => vec![],
            _ => vec!["preview".into(), "kiln".into()],
        };
        let expected = Proposal {
            host: recorded.host,
            repository: RepositoryName {
                path: if is_data_center(recorded) { "scm/EXAMPLE/registry".into() } else { "example/registry".into() },
                github_id: None,
            },
            number: 7,
            action: if labels.is_empty() { ProposalAction::Opened } else { ProposalAction::Labelled },
            base_branch: "main".into(),
            // Bitbucket Cloud sends twelve digits of it.
            head_commit: (recorded.event.1 != "pullrequest:created").then(|| COMMIT.parse().unwrap()),
            head_branch: "glaze".into(),
            head_url: match (recorded.host, is_data_center(recorded)) {
                (_, true) => None,
                ("gitlab", _) => Some("https://gitlab.example.org/potter/registry.git".parse().unwrap()),
                ("bitbucket", _) => Some("https://bitbucket.org/potter/registry".parse().unwrap()),
                _ => Some("https://gitea.example.org/potter/registry.git".parse().unwrap()),
            },
            author: Some("potter".into()),
            association: None,
            added_labels: match recorded.host {
                "gitlab" => vec!["preview".into()],
                _ => labels.clone(),
            },
            labels,
            changed_at: match recorded.host {
                "bitbucket" => None,
                _ => Some("2026-11-29T10:05:00Z".parse().unwrap()),
            },
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn proposal_has_the_action_of_its_event() {
    use ProposalAction::{Closed, Labelled, Merged, Opened, Updated};
    let [gitlab, gitea, _, cloud, data_center] = &PROPOSALS;
    let of_body = |recorded: &Recorded, change: &dyn Fn(&mut serde_json::Value)| {
        let mut body = serde_json::from_str(recorded.body).unwrap();
        change(&mut body);
        proposal(recorded, recorded.event.1, &body.to_string())
    };
    for (action, expected) in [
        ("open", Some(Opened)),
        ("reopen", Some(Opened)),
        ("update", Some(Labelled)),
        ("close", Some(Closed)),
        ("merge", Some(Merged)),
        ("approved", None),
    ] {
        let found = of_body(gitlab, &|body| body["object_attributes"]["action"] = action.into());
        assert_eq!(found.map(|found| found.action), expected, "{action}");
    }
    let pushed = |body: &mut serde_json::Value| body["object_attributes"]["oldrev"] = COMMIT.into();
    let pushed = of_body(gitlab, &pushed).unwrap();
    assert_eq!((pushed.action, pushed.added_labels), (Updated, vec![]));
    assert_eq!(of_body(gitlab, &|body| body["changes"] = serde_json::json!({"title": {}})), None);
    let by_another = of_body(gitlab, &|body| body["user"]["id"] = 52.into()).unwrap();
    assert_eq!(by_another.author, None, "the user of an event is not its author");
    for (action, merged, expected) in [
        ("opened", false, Some(Opened)),
        ("reopened", false, Some(Opened)),
        ("synchronized", false, Some(Updated)),
        ("label_updated", false, Some(Labelled)),
        ("label_cleared", false, Some(Labelled)),
        ("closed", false, Some(Closed)),
        ("closed", true, Some(Merged)),
        ("assigned", false, None),
    ] {
        let found = of_body(gitea, &|body| {
            body["action"] = action.into();
            body["pull_request"]["merged"] = merged.into();
        });
        assert_eq!(found.map(|found| found.action), expected, "{action}");
    }
    for (recorded, name, expected) in [
        (cloud, "pullrequest:created", Some(Opened)),
        (cloud, "pullrequest:updated", Some(Updated)),
        (cloud, "pullrequest:fulfilled", Some(Merged)),
        (cloud, "pullrequest:rejected", Some(Closed)),
        (cloud, "pullrequest:approved", None),
        (data_center, "pr:opened", Some(Opened)),
        (data_center, "pr:from_ref_updated", Some(Updated)),
        (data_center, "pr:merged", Some(Merged)),
        (data_center, "pr:declined", Some(Closed)),
        (data_center, "pr:deleted", Some(Closed)),
        (data_center, "pr:modified", None),
    ] {
        assert_eq!(proposal(recorded, name, recorded.body).map(|found| found.action), expected, "{name}");
    }
}

#[test]
fn proposal_of_a_deleted_account_fork_and_branch_is_one() {
    let mut body: serde_json::Value = serde_json::from_str(PROPOSALS[1].body).unwrap();
    body["pull_request"]["user"] = serde_json::Value::Null;
    body["pull_request"]["head"]["repo"] = serde_json::Value::Null;
    body["pull_request"]["head"]["sha"] = "".into();
    body["pull_request"]["labels"] = serde_json::Value::Null;
    let found = proposal(&PROPOSALS[1], "pull_request", &body.to_string()).unwrap();
    assert_eq!((found.author, found.head_url, found.head_commit, found.labels), (None, None, None, vec![]));
}

#[test]
fn body_that_is_not_as_documented_is_refused_and_unknown_events_are_not_read() {
    let deep = "[".repeat(100_000);
    for recorded in PUSHES.iter().chain(&PROPOSALS) {
        let host = of_path(&format!("/webhooks/{}", recorded.host)).unwrap();
        for body in ["", "[]", "{}", "{\"ref\": 1}", &deep, &recorded.body[..recorded.body.len() / 2]] {
            let error = host.event(recorded.event.1, body.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("the event is not as {} documents it: ", host.title)), "{error}");
            assert_eq!(host.event("something else", body.as_bytes()).unwrap(), Event::Other);
        }
    }
    assert_eq!(of_path("/webhooks/bitbucket").unwrap().event("diagnostics:ping", b"{}").unwrap(), Event::Ping);
}
