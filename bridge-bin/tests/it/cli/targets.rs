//! `[[targets]]` that cannot work: told before anything is sent, and to nobody who only looks.

use super::place::{Ended, Place};

fn configured(toml: &str) -> Place {
    let place = Place::new();
    std::fs::create_dir(place.data_dir()).unwrap();
    std::fs::write(place.data_dir().join("zk-bridge.toml"), toml).unwrap();
    place
}

#[test]
fn all_targets_that_cannot_work_are_named_at_once() {
    let place = configured(
        r#"
[[targets]]
id = "plain"
url = "http://hr.example.com/api"
[[targets]]
id = "form"
connector = "template"
url = "https://hr.example.com/"
body = '{"id": {{ user_id }'
[[targets]]
id = "header"
connector = "template"
url = "https://hr.example.com/"
body = '{"id": {{ user_id }}}'
headers = { "x y" = "1" }
[[targets]]
id = "private"
url = "https://hr.example.com/"
ca_file = "/nonexistent/ca.pem"
token_file = "/nonexistent/token"
[[targets]]
id = "hook"
connector = "webhook"
url = "https://hr.example.com/"
[[targets]]
id = "fine"
url = "https://hr.example.com/"
"#,
    );
    for line in [
        "serve --listen 127.0.0.1:0 --json",
        "serve --role worker --json",
        "sync --json",
    ] {
        let ended = place.run(line).ended(1);
        ended.failure();
        let message = ended.document()["error"]["message"].to_string();
        for named in [
            "6 faults",
            "targets.plain.url",
            "http://hr.example.com/api",
            "targets.form.body",
            "targets.header.headers",
            "x y",
            "targets.private.ca_file /nonexistent/ca.pem",
            "targets.private.token_file /nonexistent/token",
            "targets.hook.secret is missing",
            "ZK_BRIDGE_TARGET_HOOK_SECRET",
        ] {
            assert!(message.contains(named), "{line}: {named}: {message}");
        }
        assert!(!message.contains("targets.fine"), "{message}");
    }
    let alone = place.run("sync --target hook --json").ended(1);
    assert!(!alone.stdout.contains("faults"), "{alone:?}");
}

#[test]
fn who_only_looks_needs_no_secrets() {
    let place = configured(
        r#"
[alarms]
webhook_url = "https://hooks.example.com/"
[[targets]]
id = "hook"
connector = "webhook"
url = "http://127.0.0.1:1/"
[[targets]]
id = "odoo"
connector = "odoo"
url = "https://odoo.example.com/"
database = "d"
user = "u"
token_file = "/nonexistent/token"
"#,
    );
    for line in [
        "poll",
        "process",
        "status",
        "crm stats",
        "crm preview --target hook",
        "crm preview --target odoo",
        "report daily",
    ] {
        place.run(&format!("{line} --json")).ended(0);
    }
    for line in [
        "serve --listen 127.0.0.1:0",
        "sync",
        "crm test --target hook",
    ] {
        place.run(&format!("{line} --json")).ended(1);
    }
    let mut test = place.command("crm test --target hook --json");
    test.env("ZK_BRIDGE_TARGET_HOOK_SECRET", "s1gn");
    let ended = Ended::of(test).ended(1);
    assert_eq!(ended.failure(), "crm_unreachable");
}
