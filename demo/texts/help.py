"""What the settings do, for people who meet them for the first time."""

TAU = "Scheduled sampling (tau)"
TAU_INFO = "How long your layout is followed: 0 never, 1 to the end"
GUIDANCE = "Guidance scale"
GUIDANCE_INFO = "How strictly the words are followed: 1 freely, 20 to the letter"
HELP = "What do these two do?"
HELP_TEXT = (
    "**Scheduled sampling (tau).** A picture is made in many small steps, from noise to the "
    "finished thing. In the first of them it is decided what goes where, in the last the details "
    "are painted. Tau is the share of the steps that look at your layout; after them the model "
    "paints on without it. Raise it if things are not where you put them; lower it if they look "
    "stiff or pasted in.\n\n"
    "**Guidance scale.** In each step the model compares the picture with your words and without "
    "them, and goes further in the direction of the words by this factor. Low values give free, "
    "soft pictures; high values show clearly what you asked for, and too high ones get harsh "
    "colours. 7.5 is a good start."
)
