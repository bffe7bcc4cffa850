//! This module turns the samples of a file into three samples per pixel.

use super::picture::{Decoded, Picture, Samples};

/// The channels of a file, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Grey,
    GreyAlpha,
    Rgb,
    RgbAlpha,
    /// Cyan, magenta, yellow and black ink.
    Cmyk,
}

impl Layout {
    /// Returns the number of samples per pixel.
    pub(super) fn channels(self) -> usize {
        match self {
            Layout::Grey => 1,
            Layout::GreyAlpha => 2,
            Layout::Rgb => 3,
            Layout::RgbAlpha | Layout::Cmyk => 4,
        }
    }

    /// Returns the channel that says how opaque a pixel is.
    pub(super) fn alpha(self) -> Option<usize> {
        match self {
            Layout::GreyAlpha => Some(1),
            Layout::RgbAlpha => Some(3),
            Layout::Grey | Layout::Rgb | Layout::Cmyk => None,
        }
    }
}

/// A sample of a file: an unsigned number up to full scale.
pub(super) trait Sample: Copy + Default {
    /// The full scale.
    const FULL: u32;
    /// Returns the number.
    fn number(self) -> u32;
    /// Makes a sample from a number up to full scale.
    fn of(number: u32) -> Self;
    /// Wraps finished samples.
    fn wrap(values: Vec<Self>) -> Samples;

    /// Returns the opacity from 0 (clear) to 255 (opaque), rounded down. So only full scale is
    /// fully opaque.
    fn opacity(self) -> u8 {
        (self.number() * 255 / Self::FULL) as u8
    }
}

impl Sample for u8 {
    const FULL: u32 = 255;
    fn number(self) -> u32 {
        self.into()
    }
    fn of(number: u32) -> Self {
        number as u8
    }
    fn wrap(values: Vec<Self>) -> Samples {
        Samples::Eight(values)
    }
}

impl Sample for u16 {
    const FULL: u32 = 65535;
    fn number(self) -> u32 {
        self.into()
    }
    fn of(number: u32) -> Self {
        number as u16
    }
    fn wrap(values: Vec<Self>) -> Samples {
        Samples::Sixteen(values)
    }
}

/// A picture as its file lays it out, but with three samples per pixel.
pub(super) struct Raw {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) samples: Samples,
    /// The opacity of each pixel from 0 to 255, where the file has such a channel.
    pub(super) opacity: Option<Vec<u8>>,
    /// Whether the samples are already multiplied by the opacity.
    pub(super) multiplied: bool,
}

impl Raw {
    /// Returns the picture on a black ground.
    pub(super) fn over_black(self) -> Decoded {
        let Raw { width, height, mut samples, opacity, multiplied } = self;
        let says_nothing =
            |values: &Vec<u8>| values.iter().all(|&v| v == 255) || values.iter().all(|&v| v == 0);
        let opacity = opacity.filter(|values| !says_nothing(values));
        if let Some(opacity) = opacity.as_ref().filter(|_| !multiplied) {
            match &mut samples {
                Samples::Eight(values) => darken(values, opacity),
                Samples::Sixteen(values) => darken(values, opacity),
            }
        }
        Decoded { picture: Picture { width, height, samples }, opacity }
    }
}

fn darken<T: Sample>(values: &mut [T], opacity: &[u8]) {
    for (pixel, &opacity) in values.chunks_exact_mut(3).zip(opacity) {
        for value in pixel {
            *value = T::of((value.number() * u32::from(opacity) + 127) / 255);
        }
    }
}

/// Returns the colour of a pixel from the `channels` of its file.
pub(super) fn colour<T: Sample>(layout: Layout, channels: &[T]) -> [T; 3] {
    match (layout, channels) {
        (Layout::Grey | Layout::GreyAlpha, [grey, ..]) => [*grey; 3],
        (Layout::Rgb | Layout::RgbAlpha, [red, green, blue, ..]) => [*red, *green, *blue],
        (Layout::Cmyk, [cyan, magenta, yellow, black]) => [cyan, magenta, yellow].map(|ink| {
            let (light, rest) = (T::FULL - ink.number(), T::FULL - black.number());
            T::of((u64::from(light) * u64::from(rest) / u64::from(T::FULL)) as u32)
        }),
        _ => [T::default(); 3],
    }
}

/// Makes a picture from interleaved `values`.
pub(super) fn assemble<T: Sample>(
    (width, height): (u32, u32),
    layout: Layout,
    values: Vec<T>,
) -> Raw {
    let pixels = values.chunks_exact(layout.channels());
    let opacity =
        layout.alpha().map(|alpha| pixels.clone().map(|pixel| pixel[alpha].opacity()).collect());
    let samples = match layout {
        Layout::Rgb => values,
        Layout::RgbAlpha => without_alpha(values),
        _ => {
            let mut samples = Vec::with_capacity(3 * pixels.len());
            pixels.for_each(|pixel| samples.extend_from_slice(&colour(layout, pixel)));
            samples
        }
    };
    Raw { width, height, samples: T::wrap(samples), opacity, multiplied: false }
}

/// Drops every fourth value in place, so that memory never holds a large picture twice.
fn without_alpha<T: Copy>(mut values: Vec<T>) -> Vec<T> {
    let pixels = values.len() / 4;
    for pixel in 0..pixels {
        values.copy_within(4 * pixel..4 * pixel + 3, 3 * pixel);
    }
    values.truncate(3 * pixels);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_gives_three_samples() {
        type Case = (Layout, &'static [u8], [u8; 3], Option<u8>);
        let cases: [Case; 5] = [
            (Layout::Grey, &[7], [7; 3], None),
            (Layout::GreyAlpha, &[7, 100], [7; 3], Some(100)),
            (Layout::Rgb, &[1, 2, 3], [1, 2, 3], None),
            (Layout::RgbAlpha, &[1, 2, 3, 254], [1, 2, 3], Some(254)),
            (Layout::Cmyk, &[0, 255, 128, 51], [204, 0, 101], None),
        ];
        for (layout, channels, want, opacity) in cases {
            let raw = assemble((2, 1), layout, channels.repeat(2));
            assert_eq!(raw.samples, Samples::Eight(want.repeat(2)), "{layout:?}");
            assert_eq!(raw.opacity, opacity.map(|o| vec![o; 2]), "{layout:?}");
            let wide = channels.repeat(2).iter().map(|&v| u16::from(v) * 257).collect();
            let raw = assemble((2, 1), layout, wide);
            assert_eq!(raw.opacity, opacity.map(|o| vec![o; 2]), "{layout:?}");
            let Samples::Sixteen(got) = raw.samples else { panic!("16 bits") };
            let near = |(got, want): (&u16, &u8)| got.abs_diff(u16::from(*want) * 257) <= 257;
            assert!(got.iter().zip(&want.repeat(2)).all(near), "{layout:?} {got:?}");
        }
    }

    #[test]
    fn transparent_pixels_become_black_and_an_unused_channel_says_nothing() {
        let raw = assemble((2, 1), Layout::RgbAlpha, vec![9u8, 8, 7, 0, 200, 100, 51, 128]);
        let decoded = raw.over_black();
        assert_eq!(decoded.picture.samples, Samples::Eight(vec![0, 0, 0, 100, 50, 26]));
        assert_eq!(decoded.opacity, Some(vec![0, 128]));
        for alpha in [0, 255] {
            let raw = assemble((2, 1), Layout::RgbAlpha, [9u8, 8, 7, alpha].repeat(2));
            let decoded = raw.over_black();
            assert_eq!(decoded.picture.samples, Samples::Eight(vec![9, 8, 7, 9, 8, 7]));
            assert_eq!(decoded.opacity, None);
        }
    }
}
