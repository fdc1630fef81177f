"""The tab Keypoints and its editor."""

PROMPT = "What the whole picture shows: who the people are, and what is around them."
PLACEHOLDER = (
    "1. Choose an example, or press Add person.\n"
    "2. Drag the joints until the pose is right.\n"
    "3. Write a prompt and press Generate. The picture appears here."
)
LOAD = "Load people (JSON)"
TITLE_OF_FAULT = "The people cannot be used"

EDITOR = {
    "toolbar": "Tools for people",
    "stage": (
        "Drawing area for people. N and P select the next and previous person, full stop and comma "
        "its joints. Arrow keys move what is selected, with Shift faster. Plus and minus scale the "
        "person, M mirrors it, H hides or shows the joint, Control and D copies the person, Delete "
        "removes it, Escape goes back."
    ),
    "add": "Add person",
    "addTitle": "Put a standing person on the canvas",
    "undo": "Undo",
    "undoTitle": "Undo (Ctrl+Z)",
    "redo": "Redo",
    "redoTitle": "Redo (Ctrl+Y)",
    "clear": "Clear",
    "clearTitle": "Remove all people",
    "save": "Save people",
    "saveTitle": "Save the people as a JSON file in COCO's form",
    "saved": "Saved {count} as people.json, in COCO's form.",
    "nothingToSave": "There is nobody to save; add a person first.",
    "empty": "Drag over the place for a person, or press Add person. Then drag its joints.",
    "dragOrAdd": "Drag over the place for a person, or press Add person.",
    "leftSide": "the person's left",
    "rightSide": "the person's right",
    "people": "People",
    "nobody": "Nobody yet",
    "onePerson": "1 person",
    "manyPeople": "{count} people",
    "person": "Person {number}",
    "jointsSeen": "{seen} of {all} joints",
    "jointPanel": "Joints that are seen",
    "copy": "Copy",
    "copyLabel": "Copy person {number}",
    "mirror": "Mirror",
    "mirrorLabel": "Mirror person {number}",
    "shrink": "Smaller",
    "shrinkLabel": "Make smaller: person {number}",
    "grow": "Larger",
    "growLabel": "Make larger: person {number}",
    "remove": "Delete",
    "removeLabel": "Delete person {number}",
    "deleted": "Deleted. Undo brings the person back.",
    "full": (
        "There are already {most} people, as many as the model has slots for. Delete one first."
    ),
    "chosenPerson": (
        "Person {number}. Drag it to move it, its corners to scale it, a joint to bend it."
    ),
    "chosenJoint": "Person {number}, {joint}. Double-click or hold it to hide or show it.",
    "chosenHiddenJoint": (
        "Person {number}, {joint} (hidden). Double-click or hold it to hide or show it."
    ),
    "lastJoint": "This is the last joint that is seen; delete the person instead.",
    "jointShown": "The {joint} is shown.",
    "jointHidden": "The {joint} is hidden: the model decides where it is.",
}
