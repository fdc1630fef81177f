"""What the tab Compare says."""

COMPARE = "Compare"
COMPARING = "Comparing pictures"
INTRODUCTION = (
    "What do the boxes do? Here the picture that you laid out in the tab **Generate** is made "
    "several times, from the same noise and with the same words; only the grounding differs. All "
    "other settings are those of the tab Generate."
)
MODE = "What to compare"
ON_OFF = "Grounding on and off"
SWEEP = "A sweep of tau"
TAUS = "Values of tau"
TAUS_INFO = "{least} to {most} numbers from 0 to 1, with commas between them"
START = "Compare"
PLACEHOLDER = "Press Compare.\nThe pictures appear here, side by side."
NOTHING_YET = "Nothing is drawn yet: draw boxes in the tab Generate and name them."
FROM_GENERATE = "From the tab Generate"
SKETCH = "{count} named: {phrases}. {steps} steps, guidance {guidance:g}. Prompt: {prompt}"
ONE_BOX = "1 box"
BOXES = "{count} boxes"
PICTURE = "(a picture)"
PROMPT = "Prompt used: {prompt}"

# Under the pictures of each mode: what a newcomer should look for.
LOOK_ON_OFF = (
    "What to look for: with grounding on, each thing stands in its box. Switched off, the same "
    "noise and the same words give a picture in which the model puts things where it likes, leaves "
    "them out or paints them twice."
)
LOOK_SWEEP = (
    "What to look for: tau is the share of the steps that follow the boxes, from none on the left "
    "to all on the right. Things jump into their boxes as soon as the first steps are grounded, "
    "because these decide where things are; the later ones settle sizes and details, and more "
    "grounding there changes little."
)

ON = "Grounding on (tau {tau:g})"
ON_SHARES = "Grounding on ({full:g}, {decay:g}, {off:g})"
OFF = "Grounding off"
TAU = "tau {tau:g}"
WITH_SEED = "{caption}, seed {seed}"
ONE_SEED = "All from seed {seed}."
SEVERAL_SEEDS = "From top to bottom: seeds {seeds}."
MADE = "{count} pictures made with {model} in {seconds:.1f} s."
STEP = "Picture {index} of {count}: step {step} of {num_steps}"
STOPPED = "Stopped at picture {index} of {count}, step {step} of {num_steps}."

STARTING = "Starting..."

NO_MODE = "There is no comparison {mode!r}; there are on_off and sweep."
NO_BOXES = (
    "There is nothing to compare: no box is drawn that says what goes into it. Draw a box in the "
    "tab Generate, name it, and press Compare."
)
ALREADY_OFF = (
    "In the tab Generate grounding is off in all steps (tau is {tau:g}), so both pictures would be "
    "the same. Raise tau there, or compare a sweep of tau."
)
TAU_IS_NO_NUMBER = (
    "The value of tau {value!r} is no number; write numbers from 0 to 1 with commas between them, "
    "such as 0, 0.3, 1."
)
TAU_OUT_OF_RANGE = "The value of tau {value:g} lies outside 0 to 1; it is a share of the steps."
TAU_TWICE = "The value of tau {value:g} stands there twice; leave one of them out."
TAU_COUNT = "There are {count} values of tau; a sweep has {least} to {most}."
