"""The presets, for people who only want the picture sooner."""

PRESET = "Preset"
PRESET_INFO = (
    "Exact, or sooner for a little less quality. Choosing one sets sampler and steps; change them "
    "afterwards as you like."
)
NAMES = {
    "exact": "Exact",
    "fast": "Fast: 20 steps of DPM-Solver++",
    "faster": "Faster: and no guidance at the end",
}
DEEPCACHE = "DeepCache: deep levels once in {interval} steps"
