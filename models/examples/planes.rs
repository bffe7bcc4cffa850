//! Writes the ordered file that the packed crate has in place of the ONNX file: `planes MODEL.onnx MODEL.planes`.

#[path = "../src/planes.rs"]
#[allow(dead_code)]
mod planes;

fn main() -> std::io::Result<()> {
    let mut names = std::env::args_os().skip(1);
    let (Some(from), Some(to)) = (names.next(), names.next()) else {
        return Err(std::io::Error::other("usage: planes MODEL.onnx MODEL.planes"));
    };
    let file = std::fs::read(from)?;
    let ordered = planes::split(&file);
    if planes::join(&ordered) != file {
        return Err(std::io::Error::other("the ordered file does not give the model back"));
    }
    std::fs::write(to, ordered)
}
