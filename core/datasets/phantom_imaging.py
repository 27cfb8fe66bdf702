"""Image formation of the phantoms: from tissue maps to the grey values of a B-mode scan.

The chain is that of a scanner, reduced to what shapes the picture:

1. Echoes. Tissue holds many scatterers in one resolution cell, so its echo is a circular complex
   Gaussian field whose amplitude follows the echogenicity (Burckhardt, IEEE Trans. Sonics
   Ultrason. 25:1, 1978; Wagner et al., ibid. 30:156, 1983). Interfaces add a coherent part.
2. Attenuation. The two-way loss is summed along each beam; shadows and enhancement follow from it.
3. Point-spread function. Separable Gaussian pulse and beam (Bamber and Dickinson, Phys. Med.
   Biol. 25:463, 1980), in baseband: with scatterers of uniform phase the carrier has no part in
   the envelope. The beam is narrowest at the focus and widens away from it.
4. Receiver. Electronic noise, then time-gain compensation that ends at a highest gain.
5. Detection. Envelope; mean over the looks of spatial compounding (Entrekin et al., Semin.
   Ultrasound CT MR 22:50, 2001); log compression; grey map of the display.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import fft

_FWHM_TO_SIGMA = 1 / (2 * np.sqrt(2 * np.log(2)))
_ROUGHNESS = 0.6  # of reflecting sheets: amplitude of their incoherent echo beside the coherent


@dataclass(frozen=True, eq=False)
class TissueMaps:
    """What the beam meets. All arrays float32 (H, W), depth down, square pixels of `pixel_mm`.

    echogenicity_db: backscatter in dB relative to breast fat.
    reflector: amplitude of coherent echoes relative to the speckle amplitude of fat, >= 0.
    attenuation: dB / cm / MHz, one way.
    """

    echogenicity_db: np.ndarray
    reflector: np.ndarray
    attenuation: np.ndarray
    pixel_mm: float


@dataclass(frozen=True)
class Scanner:
    """A linear probe set for the breast; lengths in mm, frequency in MHz, levels in dB.

    The display levels and the noise are set so that the grey values are distributed as in BUSI.
    """

    frequency_mhz: float = 8.0  # of the received echo, below the nominal 10 to 12 MHz
    pulse_fwhm: float = 0.28
    beam_fwhm: float = 0.65  # at the focus
    focus: float = 15.0
    focal_zone: float = 12.0  # distance from the focus at which the beam is sqrt(2) wider
    aperture_blur: float = 1.2  # a converging beam sees the loss beside it too
    looks: int = 4  # steering angles of spatial compounding
    tgc_slope: float = 0.8  # dB / cm / MHz that the time-gain compensation assumes
    tgc_highest: float = 30.0
    noise_db: float = -48.0  # electronic noise, relative to fat at the surface
    brightest_db: float = 31.0  # level shown white, relative to fat
    dynamic_range_db: float = 60.0
    grey_map: float = 1.35  # exponent of the display


def two_way_loss_db(maps: TissueMaps, scanner: Scanner) -> np.ndarray:
    """Loss of the echo from each pixel, dB, float32 (H, W): twice the sum of the way down."""
    blur = scanner.aperture_blur / maps.pixel_mm
    beside = 2 * int(np.ceil(3 * blur)) + 1
    seen = cv2.GaussianBlur(maps.attenuation, (beside, 1), blur, borderType=cv2.BORDER_REPLICATE)
    step_cm = maps.pixel_mm / 10
    return np.cumsum(seen, axis=0) * np.float32(2 * scanner.frequency_mhz * step_cm)


def time_gain_db(depth_mm: np.ndarray, scanner: Scanner) -> np.ndarray:
    """Gain at each depth, dB: follows the assumed tissue and levels off at the highest gain."""
    wanted = 2 * scanner.tgc_slope * scanner.frequency_mhz * depth_mm / 10
    return scanner.tgc_highest * np.tanh(wanted / scanner.tgc_highest)


def beam_sigma_mm(depth_mm: np.ndarray, scanner: Scanner) -> np.ndarray:
    """Standard deviation of the Gaussian beam at each depth, mm: a hyperbola around the focus."""
    away = (depth_mm - scanner.focus) / scanner.focal_zone
    return scanner.beam_fwhm * _FWHM_TO_SIGMA * np.sqrt(1 + away**2)


def echoes(
    scatter: np.ndarray,
    reflector: np.ndarray,
    pixel_mm: float,
    scanner: Scanner,
    rng: np.random.Generator,
) -> np.ndarray:
    """Baseband echo after the point-spread function, complex64 (looks, H, W).

    scatter, reflector: float32 (H, W) amplitudes of the incoherent and the coherent echoes. Where
    reflector is 0 the magnitude is Rayleigh with mean square scatter**2, whatever the pixel size
    and the width of the beam; the looks are independent.
    """
    height, width = scatter.shape
    depth_mm = (np.arange(height) + 0.5) * pixel_mm
    lateral = beam_sigma_mm(depth_mm, scanner)[:, None] / pixel_mm
    axial = scanner.pulse_fwhm * _FWHM_TO_SIGMA / pixel_mm
    # The transform is periodic: mirrored margins keep the two sides of the image apart.
    margin = int(np.ceil(2 * lateral.max()))
    padded = fft.next_fast_len(width + 2 * margin)
    sides = ((0, 0), (margin, padded - width - margin))

    beam = np.exp(-2 * (np.pi * fft.fftfreq(padded) * lateral) ** 2).astype(np.float32)
    pulse = cv2.getGaussianKernel(2 * int(np.ceil(4 * axial)) + 1, axial, cv2.CV_32F)
    # Filters of unit sum dim speckle by the root of their energy; that is made up for here.
    energy = np.mean(beam**2, axis=1, keepdims=True) * np.sum(pulse**2)
    speckle = np.pad(scatter / np.sqrt(2 * energy), sides, mode="symmetric")
    coherent = np.pad(reflector, sides, mode="symmetric")

    looks = np.empty((scanner.looks, height, width), np.complex64)
    for look in looks:
        field = rng.standard_normal((height, padded, 2), dtype=np.float32).view(np.complex64)
        field = field[..., 0] * speckle + coherent
        field = fft.fft(field, axis=1, overwrite_x=True) * beam
        field = fft.ifft(field, axis=1, overwrite_x=True)[:, margin : margin + width]
        look[...] = _along_depth(field, pulse)
    return looks


def envelope(maps: TissueMaps, scanner: Scanner, rng: np.random.Generator) -> np.ndarray:
    """Detected, compounded and gain-compensated echo, float32 (H, W); about 1 in shallow fat."""
    transmitted = _amplitude(-two_way_loss_db(maps, scanner))
    # Independent Gaussian fields (tissue, rough sheets, noise) are drawn as one, powers summed.
    power = _amplitude(2 * maps.echogenicity_db) + (_ROUGHNESS * maps.reflector) ** 2
    scatter = np.sqrt(power * transmitted**2 + _amplitude(np.float32(2 * scanner.noise_db)))
    field = echoes(scatter, maps.reflector * transmitted, maps.pixel_mm, scanner, rng)
    depth_mm = (np.arange(len(scatter), dtype=np.float32) + 0.5) * maps.pixel_mm
    gain = _amplitude(time_gain_db(depth_mm, scanner))
    return np.abs(field).mean(axis=0) * gain[:, None]


def log_compress(envelope: np.ndarray, dynamic_range_db: float, white: float = 1.0) -> np.ndarray:
    """Grey value in [0, 1]: 1 at the level `white` and above, 0 from dynamic_range_db below it.

    grey = 1 + 20 log10(envelope / white) / dynamic_range_db, clipped.
    """
    floor = white * 10 ** (-dynamic_range_db / 20)
    level_db = 20 * np.log10(np.maximum(envelope, floor) / white)
    return np.clip(1 + level_db / dynamic_range_db, 0, 1)


def b_mode(maps: TissueMaps, scanner: Scanner, rng: np.random.Generator) -> np.ndarray:
    """The scan of the tissue, uint8 (H, W)."""
    white = 10 ** (scanner.brightest_db / 20)
    grey = log_compress(envelope(maps, scanner, rng), scanner.dynamic_range_db, white)
    return np.round(grey**scanner.grey_map * 255).astype(np.uint8)


def _amplitude(level_db):
    return np.exp(level_db * np.float32(np.log(10) / 20))


def _along_depth(field: np.ndarray, pulse: np.ndarray) -> np.ndarray:
    parts = np.ascontiguousarray(field).view(np.float32).reshape(*field.shape, 2)
    blurred = cv2.sepFilter2D(parts, -1, np.ones(1, np.float32), pulse)
    return blurred.view(np.complex64)[..., 0]
