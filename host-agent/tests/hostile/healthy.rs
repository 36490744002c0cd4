//! What healthy guests of both kinds answer: what hostile ones make their own of.

use serde_json::{Value, json};

/// Which kind of guest an agent says it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    Linux,
    Windows,
}

impl System {
    pub fn os_info(self) -> Value {
        match self {
            System::Linux => json!({ "id": "debian", "version-id": "12" }),
            System::Windows => json!({ "id": "mswindows", "version-id": "2022" }),
        }
    }

    /// What the program that lists sessions prints when these are logged on.
    pub fn listing(self, users: &[String]) -> Vec<u8> {
        match self {
            System::Linux => linux(users),
            System::Windows => windows(users),
        }
    }
}

fn linux(users: &[String]) -> Vec<u8> {
    let path = |at: usize| format!("/org/freedesktop/login1/session/c{at}");
    let rows: Vec<Value> = users
        .iter()
        .enumerate()
        .map(|(at, user)| json!([format!("c{at}"), 1000, user, "", path(at)]))
        .collect();
    let mut text = String::from("boot 0f1e2d3c-0000-4000-8000-0123456789ab:42\nnow 1700000000000\n");
    text += &format!("list {}\n", json!({ "type": "a(susso)", "data": [rows] }));
    for (at, user) in users.iter().enumerate() {
        let value = |data: Value| json!({ "type": "x", "data": data });
        let properties = json!({ "type": "a{sv}", "data": [{
            "Id": value(json!(format!("c{at}"))), "Name": value(json!(user)), "Class": value(json!("user")),
            "State": value(json!("active")), "Type": value(json!("tty")), "Service": value(json!("sshd")),
            "RemoteHost": value(json!(user)), "Timestamp": value(json!(1_700_000_000_000_000_u64)),
        }] });
        text +=
            &format!("session {} {properties}\nprocess c{at} {}\n", path(at), user.replace(['\n', '\r'], ""));
    }
    (text + "end\n").into_bytes()
}

fn windows(users: &[String]) -> Vec<u8> {
    let row = |at: usize, user: &String| {
        json!({
            "id": at + 1, "user": user, "domain": user, "station": user, "client": user, "kind": "rdp",
            "state": "active", "began": 1_700_000_000_000_000_u64, "idle": 5,
        })
    };
    let rows: Vec<Value> = users.iter().enumerate().map(|(at, user)| row(at, user)).collect();
    let mut programs = json!({});
    for (at, user) in users.iter().enumerate() {
        programs[(at + 1).to_string()] = json!([user, user]);
    }
    let answer = json!({ "curfew": 1, "boot": "1", "now": 1_700_000_000_000_u64, "sessions": rows, "programs": programs });
    answer.to_string().into_bytes()
}
