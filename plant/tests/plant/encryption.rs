//! Tests the encrypted page with a certificate that `hetmm-plant` makes.

use crate::desk::{Desk, said_of};
use crate::http::raw;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const WEB: &str = r#"
[web]
listen = "WEB"
users = "users.json"
tls_cert = "tls/page.pem"
tls_key = "tls/page.key"
"#;

/// Trusts the certificate alone, asks for the page under a name, and prints what it got.
const ASK: &str = r#"
import hashlib, socket, ssl, sys
cert, port, name = sys.argv[1:]
trusted = ssl.create_default_context(cafile=cert)
with trusted.wrap_socket(socket.create_connection(("127.0.0.1", int(port)), 30), server_hostname=name) as page:
    seen = hashlib.sha256(page.getpeercert(True)).hexdigest().upper()
    page.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    while block := page.recv(65536):
        answer += block
print(answer.split()[1].decode(), ":".join(seen[i:i + 2] for i in range(0, 64, 2)), b"<!doctype html>" in answer)
"#;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_certificate_of_its_own_encrypts_the_page_and_can_be_recognised() {
    let mut desk = Desk::new(WEB);
    let missing = desk.run("hetmm-plant", &["--check"]);
    assert_eq!(missing.status.code(), Some(5), "{}", text(&missing.stderr));
    let made = desk.run("hetmm-plant", &["certificate", "cam1.example.com", "192.0.2.7"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let said = text(&made.stdout);
    let fingerprint = said.lines().next().and_then(|line| line.split_once(": ")).expect("a line").1;
    assert_eq!(fingerprint.len(), 32 * 3 - 1, "{said}");
    let again = desk.run("hetmm-plant", &["certificate"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("is there already"), "{}", text(&again.stderr));
    let key = desk.path("tls/page.key");
    let mode = std::fs::metadata(&key).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let setup = desk.run("hetmm-plant", &["setup"]);
    assert!(text(&setup.stdout).contains(fingerprint), "{}", text(&setup.stdout));
    let nonsense = desk.run("hetmm-plant", &["certificate", "no name\n"]);
    assert_eq!(nonsense.status.code(), Some(2));

    desk.start();
    let (cert, port) = (desk.path("tls/page.pem"), desk.web.to_string());
    let ask = |name: &str| {
        let cert = cert.to_str().expect("a path");
        said_of(Command::new("python3").args(["-c", ASK, cert, &port, name]), b"")
    };
    for name in ["localhost", "127.0.0.1", "cam1", "cam1.example.com", "192.0.2.7"] {
        let got = ask(name);
        assert_eq!(
            text(&got.stdout).trim(),
            format!("200 {fingerprint} True"),
            "{name}: {}",
            text(&got.stderr)
        );
    }
    assert!(!ask("other.example.com").status.success(), "the certificate is not for every name");
    let plain = raw(desk.web, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(!plain.starts_with(b"HTTP/1.1 200"), "{}", text(&plain));
    assert_eq!(Desk::stop(&mut desk.plant), Some(0));

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("sets");
    let open = desk.run("hetmm-plant", &["--check"]);
    assert_eq!(open.status.code(), Some(2), "{}", text(&open.stderr));
    assert!(text(&open.stderr).contains("everybody on this machine may read it"));
}
