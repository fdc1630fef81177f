// The people as a file that this page, COCO's tools and other editors of poses read.

// A joint that is not seen is 0, 0, 0 there. COCO measures in pixels.
function asCoco(persons, width, height) {
  const pixels = (value, side) => Math.round(value * side * 1000) / 1000;
  return {
    images: [{ id: 1, width, height, file_name: "" }],
    categories: [{ id: 1, name: "person", keypoints: props.joints.map((name) => name.replace(" ", "_")), skeleton: props.bones.map((bone) => bone.map((joint) => joint + 1)) }],
    annotations: persons.map(({ joints }, index) => {
      const [x0, y0, x1, y1] = boundsOf(joints.filter((joint) => joint.seen));
      const box = [pixels(x0, width), pixels(y0, height), pixels(x1 - x0, width), pixels(y1 - y0, height)];
      return {
        id: index + 1, image_id: 1, category_id: 1, iscrowd: 0, bbox: box, area: box[2] * box[3],
        num_keypoints: joints.filter((joint) => joint.seen).length,
        keypoints: joints.flatMap(({ x, y, seen }) => seen ? [pixels(x, width), pixels(y, height), 2] : [0, 0, 0]),
      };
    }),
  };
}

function download(text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "people.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
