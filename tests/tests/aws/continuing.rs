//! A publication over a registry with a rate limit, which takes longer than one invocation may.

use std::time::Duration;

use registry_tests::github::Fault;
use registry_tests::lambda::{Function, Invocations};
use registry_tests::proxy::{Fuse, Proxy};
use registry_tests::registry::TestRegistry;
use serde_json::{Value, json};

/// Stacks beside those of the example, of one version each.
const STACKS: usize = 150;

/// Requests that the OCI registry takes in a second.
const RATE: u32 = 60;

/// Time that an invocation has. It stops pushing 15 seconds before the end, when a batch or two are there.
const TIME: Duration = Duration::from_secs(30);

/// Most invocations of one publication.
const INVOCATIONS: usize = 12;

struct World {
    registry: TestRegistry,
    proxy: Proxy,
    fuse: Fuse,
    invocations: Invocations,
}

impl World {
    /// The registry of the example with so many further stacks.
    async fn start(stacks: usize) -> Self {
        let registry = TestRegistry::of(&TestRegistry::example()).await;
        for number in 0..stacks {
            let devfile = format!(
                "schemaVersion: 2.2.0\nmetadata:\n  name: anvil-{number}\n  version: 1.0.0\n  displayName: Anvil {number}\n  \
                 description: Forges nails\n  language: java\n  projectType: smithy\n  tags: [Java]\n  architectures: [amd64]\n"
            );
            registry.write(&format!("stacks/anvil-{number}/devfile.yaml"), devfile);
        }
        let fuse = Fuse::default();
        let proxy = Proxy::start(&std::env::var("TEST_OCI_REGISTRY").unwrap(), fuse.clone()).await;
        proxy.limit_rate(Some(RATE));
        let invocations = Invocations::start().await;
        let namespace = format!("{}/{}", proxy.address(), registry.name);
        let registry = registry.with("OCI_REGISTRY", &namespace).with("AWS_ENDPOINT_URL_LAMBDA", invocations.url());
        Self { registry, proxy, fuse, invocations }
    }

    async fn function(&self) -> Function {
        Function::of(&self.registry, "refresh").await.unwrap()
    }

    async fn object(&self, key: &str) -> Value {
        let object = self.registry.s3.get_object().bucket(&self.registry.name).key(key).send().await.unwrap();
        serde_json::from_slice(&object.body.collect().await.unwrap().into_bytes()).unwrap()
    }

    /// Invokes a function until a publication is live: the report, and the number of invocations.
    async fn finish(&mut self, function: &mut Function, mut event: Value) -> (Value, usize) {
        for number in 1..=INVOCATIONS {
            let report = function.invoke_within(event, TIME).await.unwrap().payload;
            if report["outcome"] != "continuing" {
                return (report, number);
            }
            event = self.invocations.next().await;
        }
        panic!("it does not end");
    }

    /// Checks that the live release has all stacks, and every byte of it.
    async fn is_whole(&self, further: usize) {
        let index = self.object("index.json").await;
        let stacks = index["stacks"].as_array().unwrap().iter().filter(|entry| entry["type"] == "stack").count();
        assert!(stacks > further, "{stacks}");
        self.proxy.limit_rate(None);
        let verified = self.registry.invoke(&json!({"action": "verify"})).await.unwrap();
        assert_eq!(verified["problems"], json!([]));
    }
}

fn progress(report: &Value) -> (u64, u64) {
    (report["progress"]["artifacts"].as_u64().unwrap(), report["progress"]["total"].as_u64().unwrap())
}

#[tokio::test]
async fn large_publication_continues_over_invocations_until_it_is_live() {
    let mut world = World::start(STACKS).await;
    let mut function = world.function().await;
    // As scripts/deploy begins it.
    let (mut event, mut artifacts) = (json!({"action": "reconcile"}), 0);
    let mut known = Vec::new();
    for number in 1.. {
        let report = function.invoke_within(event, TIME).await.unwrap().payload;
        let requests = world.proxy.take_requests();
        if report["outcome"] == "published" {
            assert!(number > 1, "{number} invocations");
            break;
        }
        assert_eq!(report["outcome"], "continuing", "{report}");
        let (pushed, total) = progress(&report);
        assert!(pushed > artifacts && pushed <= total && total > STACKS as u64, "{artifacts} {report}");
        artifacts = pushed;
        let last = world.object("last-refresh.json").await;
        assert_eq!((&last["outcome"], &last["progress"]), (&"continuing".into(), &report["progress"]));
        for tag in &known {
            assert!(!requests.contains(tag), "{tag} again");
        }
        let stored = world.object("progress.json").await;
        let tag =
            |name: &String| name.replace("devfile-catalog", &format!("/v2/{}/devfile-catalog", world.registry.name));
        let names = stored["artifacts"].as_object().unwrap().keys();
        known = names.map(|name| format!("HEAD {}", tag(name).replace(':', "/manifests/"))).collect();

        // A trigger that comes meanwhile leaves the publication to those that have it.
        event = world.invocations.next().await;
        let meanwhile = function.invoke_within(json!({"action": "schedule"}), TIME).await.unwrap().payload;
        assert_eq!((&meanwhile["outcome"], progress(&meanwhile)), (&"continuing".into(), (pushed, total)));
        assert!(world.invocations.is_empty());
        assert!(number < INVOCATIONS);
    }
    assert_eq!(world.object("last-refresh.json").await["outcome"], "published");
    assert_eq!(world.object("progress.json").await["artifacts"], json!({}), "it is forgotten");
    world.is_whole(STACKS).await;
}

#[tokio::test]
async fn killed_invocation_is_repeated_and_the_publication_goes_on() {
    let mut world = World::start(STACKS).await;
    let mut function = world.function().await;
    assert_eq!(
        function.invoke_within(json!({"action": "refresh"}), TIME).await.unwrap().payload["outcome"],
        "continuing"
    );
    let event = world.invocations.next().await;
    // Few, since a busy machine does not make many within the time of an invocation.
    world.fuse.set(Some(20));
    let killed = async {
        tokio::select! {
            answer = function.invoke_within(event.clone(), TIME) => panic!("{answer:?}"),
            () = world.fuse.blown() => drop(function),
        }
    };
    killed.await;
    world.fuse.set(None);
    // AWS Lambda repeats an asynchronous invocation that failed.
    let mut function = world.function().await;
    let (report, _) = world.finish(&mut function, event).await;
    assert_eq!(report["outcome"], "published");
    world.is_whole(STACKS).await;
}

#[tokio::test]
async fn registry_that_takes_nothing_is_a_named_error_and_a_later_trigger_publishes() {
    let mut world = World::start(0).await;
    let limited = Fault::RateLimit { status: 429, retry_after: Some(1), reset: None };
    world.proxy.faults().add("POST *", limited, usize::MAX);
    world.proxy.limit_rate(None);
    let mut function = world.function().await;
    let error = function.invoke_within(json!({"action": "refresh"}), TIME).await.unwrap_err().to_string();
    assert!(error.contains("took no artifact in the time of an invocation"), "{error}");
    assert_eq!(world.object("last-refresh.json").await["failure"], "the OCI registry failed");
    assert!(world.invocations.is_empty());

    world.proxy.faults().clear();
    let (report, _) = world.finish(&mut function, json!({"action": "schedule"})).await;
    assert_eq!(report["outcome"], "published");
    world.is_whole(0).await;
}
