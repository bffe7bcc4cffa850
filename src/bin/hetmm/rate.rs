//! This module reads a rate of false rejects from the command line.

/// Reads a rate between 0 and 1, written as 0.005 or 0.5%.
pub fn parse_rate(text: &str) -> std::result::Result<f64, String> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 0.01));
    match number.trim().parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate * unit < 1.0 => Ok(rate * unit),
        _ => Err("give a rate above 0 and below 1, as in 0.5% or 0.005".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, want) in [("0.5%", 0.005), ("0.01", 0.01), ("2 %", 0.02)] {
            assert!((parse_rate(text).unwrap_or(f64::NAN) - want).abs() < 1e-12, "{text}");
        }
        for text in ["0", "100%", "-1%", "nan", "inf", "", "%"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
