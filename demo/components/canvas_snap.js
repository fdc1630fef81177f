// Snapping: edges and centres of a box jump onto those of other boxes and of the frame when they come near.

// The lines that can be snapped to, for everything but the box that moves.
function snapTargets(regions, movingId) {
  const boxes = regions.filter((region) => region.visible && region.id !== movingId).map((region) => region.box);
  const lines = (low, high) => [0, 0.5, 1, ...boxes.flatMap((box) => [box[low], (box[low] + box[high]) / 2, box[high]])];
  return { x: lines(0, 2), y: lines(1, 3) };
}

// The smallest shift that brings one of the values onto a target within reach; null: none is near.
function nearestTarget(values, targets, reach) {
  let best = null;
  for (const value of values) {
    for (const target of targets) {
      const size = Math.abs(target - value);
      if (size <= reach && (!best || size < Math.abs(best.shift))) best = { shift: target - value, target };
    }
  }
  return best;
}

// Each answer has the guides to show: `x` and `y` are places of lines, or null.
function snapMoved(box, targets, reach) {
  const x = nearestTarget([box[0], (box[0] + box[2]) / 2, box[2]], targets.x, reach[0]);
  const y = nearestTarget([box[1], (box[1] + box[3]) / 2, box[3]], targets.y, reach[1]);
  return { box: moved(box, x ? x.shift : 0, y ? y.shift : 0), x: x && x.target, y: y && y.target };
}

function snapResized(box, edges, targets, reach, least) {
  const side = (low, high, lowIndex, highIndex) => (edges.includes(low) ? [box[lowIndex]] : edges.includes(high) ? [box[highIndex]] : []);
  const x = nearestTarget(side("w", "e", 0, 2), targets.x, reach[0]);
  const y = nearestTarget(side("n", "s", 1, 3), targets.y, reach[1]);
  return { box: resized(box, edges, x ? x.shift : 0, y ? y.shift : 0, least), x: x && x.target, y: y && y.target };
}

function snapPoint(point, targets, reach) {
  const x = nearestTarget([point[0]], targets.x, reach[0]);
  const y = nearestTarget([point[1]], targets.y, reach[1]);
  return { point: [x ? x.target : point[0], y ? y.target : point[1]], x: x && x.target, y: y && y.target };
}
