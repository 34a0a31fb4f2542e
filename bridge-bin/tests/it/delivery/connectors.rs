//! The connectors end to end: from the configuration file over the store to a server with its documented answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bridge_bin::Failure;
use bridge_bin::demo::crm_stub::Fault;
use bridge_bin::jobs::sync;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::{current, fail, held, stub, void, waiting};
use crate::support::{Bridge, NAIROBI, date, punch, terminal};

const EVENING: &str = "2026-03-05T20:00:00Z";

/// A site with two employees, that keeps check-ins as Frappe HRMS does: none twice, each under a name.
#[derive(Clone, Default)]
struct Frappe(Arc<Mutex<Checkins>>);

#[derive(Default)]
struct Checkins {
    /// Employee and time, by name.
    held: BTreeMap<String, (String, String)>,
    made: usize,
    /// So many answers are lost after the work was done.
    lost: usize,
}

const METHOD: &str =
    "/api/method/hrms.hr.doctype.employee_checkin.employee_checkin.add_log_based_on_employee_field";

impl Frappe {
    async fn start(&self) -> MockServer {
        let server = MockServer::start().await;
        Mock::given(header("authorization", "token key:secret"))
            .respond_with(self.clone())
            .mount(&server)
            .await;
        server
    }

    fn checkins(&self) -> Vec<(String, String)> {
        let state = self.0.lock().unwrap();
        let mut held: Vec<_> = state.held.values().cloned().collect();
        held.sort();
        held
    }

    fn lose(&self, answers: usize) {
        self.0.lock().unwrap().lost = answers;
    }
}

fn employee(badge: &str) -> Option<String> {
    let staff = [("7", "HR-EMP-7"), ("E-7", "HR-EMP-70"), ("8", "HR-EMP-8")];
    let found = staff.iter().find(|(known, _)| *known == badge);
    found.map(|(_, name)| (*name).to_owned())
}

fn thrown(words: &str) -> ResponseTemplate {
    ResponseTemplate::new(417).set_body_json(json!({
        "exc_type": "ValidationError",
        "exception": format!("frappe.exceptions.ValidationError: {words}"),
    }))
}

impl Respond for Frappe {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().unwrap();
        let ok = |value: Value| ResponseTemplate::new(200).set_body_json(value);
        if request.method.as_str() == "DELETE" {
            let name = request.url.path().rsplit('/').next().unwrap();
            return match state.held.remove(name) {
                Some(_) => ok(json!({"data": "ok"})),
                None => ResponseTemplate::new(404)
                    .set_body_json(json!({"exc_type": "DoesNotExistError"})),
            };
        }
        if request.url.path() == METHOD {
            let body: Value = request.body_json().unwrap();
            assert_eq!(body["employee_fieldname"], "attendance_device_id");
            let text = |name: &str| body[name].as_str().unwrap().to_owned();
            let Some(employee) = employee(&text("employee_field_value")) else {
                return thrown("No Employee found for the given employee field value.");
            };
            let checkin = (employee, text("timestamp"));
            if state.held.values().any(|held| *held == checkin) {
                return thrown("This employee already has a log with the same timestamp.");
            }
            state.made += 1;
            let name = format!("CHK-{}", state.made);
            state.held.insert(name.clone(), checkin);
            if state.lost > 0 {
                state.lost -= 1;
                return ResponseTemplate::new(502);
            }
            return ok(json!({"message": {"name": name, "doctype": "Employee Checkin"}}));
        }
        let filters = request
            .url
            .query_pairs()
            .find(|(name, _)| name == "filters");
        let filters: Value = serde_json::from_str(&filters.unwrap().1).unwrap();
        let wanted = |field: &str| {
            let filters = filters.as_array().unwrap().iter();
            let mut found = filters.filter(|filter| filter[0] == field);
            found.next().and_then(|filter| filter[2].as_str())
        };
        let names: Vec<String> = if request.url.path().ends_with("/Employee") {
            employee(wanted("attendance_device_id").unwrap())
                .into_iter()
                .collect()
        } else {
            let (employee, time) = (wanted("employee").unwrap(), wanted("time").unwrap());
            let held = state.held.iter();
            let held = held.filter(|(_, held)| held.0 == employee && held.1 == time);
            held.map(|(name, _)| name.clone()).collect()
        };
        let rows: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        ok(json!({"data": rows}))
    }
}

async fn map_7(bridge: &Bridge, to: &str) {
    let device = bridge.app.store.device("gate").await.unwrap();
    let plausible = date("2010-01-01")..=date("2026-03-07");
    bridge
        .app
        .store
        .map_user(&device, "7", to, None, &plausible, 0)
        .await
        .unwrap();
    bridge.process().await;
}

#[tokio::test]
async fn frappe_is_told_check_ins_and_their_corrections() {
    let site = Frappe::default();
    let server = site.start().await;
    let gate = terminal([
        punch("7", "2026-03-05 08:00"),
        punch("7", "2026-03-05 17:00"),
        punch("9", "2026-03-05 08:00"),
    ])
    .await;
    let toml = format!(
        "{NAIROBI}[[targets]]\nid = \"hr\"\nconnector = \"frappe\"\nurl = \"{}\"\ntoken = \"key:secret\"\n",
        server.uri()
    );
    let bridge = Bridge::new(&toml, EVENING).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let report = bridge.sync().await;
    assert_eq!((report.successful, report.failed), (2, 1), "{report:?}");
    assert!(report.errors[0].error.contains("No Employee found"));
    let at = |employee: &str, time: &str| (employee.to_owned(), format!("2026-03-05 {time}:00"));
    assert_eq!(
        site.checkins(),
        [at("HR-EMP-7", "08:00"), at("HR-EMP-7", "17:00")]
    );

    map_7(&bridge, "E-7").await;
    bridge.sync().await;
    assert_eq!(
        site.checkins(),
        [at("HR-EMP-70", "08:00"), at("HR-EMP-70", "17:00")]
    );
    let last = bridge.punches("gate").await;
    let last = last.iter().rfind(|punch| punch.user_id == "7").unwrap();
    void(&bridge, format!("p{}", last.id), "E-7", "2026-03-05").await;
    bridge.process().await;
    bridge.sync().await;
    assert_eq!(site.checkins(), [at("HR-EMP-70", "08:00")]);
}

#[tokio::test]
async fn a_check_in_whose_answer_was_lost_does_not_stay_with_the_wrong_employee() {
    let site = Frappe::default();
    let server = site.start().await;
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    let toml = format!(
        "{NAIROBI}[[targets]]\nid = \"hr\"\nconnector = \"frappe\"\nurl = \"{}\"\ntoken = \"key:secret\"\n",
        server.uri()
    );
    let bridge = Bridge::new(&toml, EVENING).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    site.lose(1);
    assert_eq!(bridge.sync().await.failed, 1);
    assert_eq!(site.checkins().len(), 1);

    map_7(&bridge, "E-7").await;
    assert_eq!(bridge.sync().await.successful, 1);
    let told = ("HR-EMP-70".to_owned(), "2026-03-05 08:00:00".to_owned());
    assert_eq!(site.checkins(), [told]);
}

/// A small Odoo: `hr.attendance` of one employee, by id.
#[derive(Clone, Default)]
struct Odoo(Arc<Mutex<Vec<(u64, Value)>>>);

impl Respond for Odoo {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body: Value = request.body_json().unwrap();
        let args = &body["params"]["args"];
        let mut sessions = self.0.lock().unwrap();
        let called = match body["params"]["method"].as_str().unwrap() {
            "execute_kw" => format!(
                "{}.{}",
                args[3].as_str().unwrap(),
                args[4].as_str().unwrap()
            ),
            other => other.to_owned(),
        };
        let result = match called.as_str() {
            "authenticate" => {
                assert_eq!((&args[1], &args[2]), (&json!("bridge"), &json!("api-key")));
                json!(7)
            }
            "hr.employee.search_read" => json!([{"id": 100, "barcode": "7"}]),
            "hr.attendance.search_read" => {
                let rows = sessions.iter().map(|(id, values)| {
                    json!({
                        "id": id, "employee_id": [values["employee_id"], "Zoë"],
                        "check_in": values["check_in"], "check_out": values["check_out"],
                    })
                });
                Value::Array(rows.collect())
            }
            "hr.attendance.create" => {
                let id = 500 + sessions.len() as u64;
                sessions.push((id, args[5][0].clone()));
                json!(id)
            }
            "hr.attendance.write" => {
                let id = args[5][0][0].as_u64().or(args[5][0].as_u64()).unwrap();
                let found = sessions.iter_mut().find(|(known, _)| *known == id);
                found.unwrap().1 = args[5][1].clone();
                json!(true)
            }
            "hr.attendance.unlink" => {
                let id = args[5][0][0].as_u64().or(args[5][0].as_u64()).unwrap();
                sessions.retain(|(known, _)| *known != id);
                json!(true)
            }
            other => panic!("nobody should call {other}"),
        };
        let answer = json!({"jsonrpc": "2.0", "id": body["id"], "result": result});
        ResponseTemplate::new(200).set_body_json(answer)
    }
}

#[tokio::test]
async fn odoo_is_told_sessions_and_their_corrections() {
    let odoo = Odoo::default();
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/jsonrpc"))
        .respond_with(odoo.clone())
        .mount(&server)
        .await;
    let gate = terminal([
        punch("7", "2026-03-05 08:00"),
        punch("7", "2026-03-05 17:00"),
    ])
    .await;
    let toml = format!(
        "{NAIROBI}[[targets]]\nid = \"hr\"\nconnector = \"odoo\"\nurl = \"{}\"\ndatabase = \"db\"\n\
         user = \"bridge\"\ntoken = \"api-key\"\n",
        server.uri()
    );
    let bridge = Bridge::new(&toml, EVENING).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    assert_eq!(bridge.sync().await.successful, 1);
    let sessions = || -> Vec<(Value, Value)> {
        let held = odoo.0.lock().unwrap();
        let held = held.iter();
        held.map(|(_, values)| (values["check_in"].clone(), values["check_out"].clone()))
            .collect()
    };
    // In UTC, as Odoo keeps it.
    assert_eq!(
        sessions(),
        [(json!("2026-03-05 05:00:00"), json!("2026-03-05 14:00:00"))]
    );
    gate.punch(punch("7", "2026-03-05 18:30"));
    bridge.turn().await;
    bridge.sync().await;
    assert_eq!(
        sessions(),
        [(json!("2026-03-05 05:00:00"), json!("2026-03-05 15:30:00"))]
    );
    gate.punch(punch("7", "2026-03-05 07:30"));
    bridge.turn().await;
    bridge.sync().await;
    assert_eq!(
        sessions(),
        [(json!("2026-03-05 04:30:00"), json!("2026-03-05 15:30:00"))]
    );
}

#[tokio::test]
async fn the_forms_of_terminals_are_told_and_refused_in_part() {
    for connector in ["device-export", "device-data"] {
        let hr = stub().await;
        hr.fail(fail(Fault::Partial, 1));
        let gate = terminal([
            punch("7", "2026-03-05 08:00"),
            punch("8", "2026-03-05 08:00"),
            punch("9", "2026-03-05 08:00"),
        ])
        .await;
        let toml = format!(
            "{NAIROBI}[[targets]]\nid = \"hr\"\nconnector = \"{connector}\"\nurl = \"{}\"\n",
            hr.url()
        );
        let bridge = Bridge::new(&toml, EVENING).await;
        bridge.add("gate", &gate).await;
        bridge.turn().await;
        let report = bridge.sync().await;
        assert_eq!(
            (report.successful, report.failed),
            (2, 1),
            "{connector}: {report:?}"
        );
        assert!(report.errors[0].error.contains("No such employee."));
        assert_eq!(held(&hr).len(), 2, "{connector}");
        let person = if connector == "device-export" {
            "employee_id"
        } else {
            "emp_no"
        };
        assert_eq!(current(&hr, person), ["8", "9"]);
        assert_eq!(hr.snapshot().requests, 1);
        assert!(waiting(&bridge).await.is_empty());
    }
}

/// Answers every request with 201 as `localhost`, by a certificate that the returned authority signed.
async fn behind_tls() -> (u16, String) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2099, 12, 31);
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let shown = params.signed_by(&key, &authority).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![shown], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = Vec::new();
            while !request.ends_with(b"}") && stream.read_buf(&mut request).await.unwrap_or(0) > 0 {
            }
            let answer = b"HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, authority.pem())
}

#[tokio::test]
async fn a_private_authority_is_believed_where_the_configuration_names_it() {
    let (port, pem) = behind_tls().await;
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    let toml = format!(
        "{NAIROBI}[[targets]]\nid = \"hr\"\nstart_date = \"2026-03-05\"\nurl = \"https://localhost:{port}/\"\n"
    );
    let mut bridge = Bridge::new(&toml, EVENING).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let error = sync::run(&bridge.app, &sync::Options::default()).await;
    assert_eq!(Failure::of(&error.unwrap_err()).kind, "crm_tls");

    let file = bridge.dir.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    bridge
        .with(
            &format!("ca_file = {:?}\n", file.display().to_string()),
            EVENING,
        )
        .await;
    assert_eq!(bridge.sync().await.successful, 1);
    let ends = bridge.app.store.target("hr").await.unwrap().unwrap();
    assert_eq!(ends.certificate_ends, Some(4_102_358_400));
}

#[tokio::test]
async fn no_more_go_at_once_than_a_second_may_bring() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let people = ["1", "2", "3", "4", "5"];
    let gate = terminal(people.map(|id| punch(id, "2026-03-05 08:00"))).await;
    let toml = format!(
        "{NAIROBI}[[targets]]\nid = \"hr\"\nconnector = \"webhook\"\nkind = \"punch\"\nsecret = \"s1gn\"\n\
         url = \"{}\"\nrate_per_second = 2\n",
        server.uri()
    );
    let bridge = Bridge::new(&toml, EVENING).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    assert_eq!(bridge.sync().await.successful, 5);
    let requests = server.received_requests().await.unwrap();
    let sizes: Vec<usize> = requests
        .iter()
        .map(|request| {
            let body: Value = request.body_json().unwrap();
            body["records"].as_array().unwrap().len()
        })
        .collect();
    assert!(sizes.iter().all(|size| *size <= 2), "{sizes:?}");
    assert_eq!(sizes.iter().sum::<usize>(), 5);
}
