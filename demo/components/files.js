// Picture files that a person chooses: checked against the page's limits, shown, and stored on the server.

// Return what the file shows, or null after saying why it cannot be used.
async function readPicture(file, say) {
  if (file.size > props.max_file_bytes) {
    say("The file has " + Math.round(file.size / 1e6) + " MB; the limit is " + Math.round(props.max_file_bytes / 1e6) + " MB. Save it smaller and try again.", true);
    return null;
  }
  const address = URL.createObjectURL(file);
  const probe = new Image();
  probe.src = address;
  try { await probe.decode(); } catch {
    say("This file cannot be read as a picture. Use a JPEG, PNG or WebP file.", true);
    URL.revokeObjectURL(address);
    return null;
  }
  const [width, height] = [probe.naturalWidth, probe.naturalHeight];
  if (width * height > props.max_pixels) {
    say("The picture has " + width + " x " + height + " pixels (" + (width * height / 1e6).toFixed(0) + " megapixels); the limit is " + props.max_pixels / 1e6 + " megapixels. Scale it down and try again.", true);
    URL.revokeObjectURL(address);
    return null;
  }
  return { file, address, width, height };
}

// Return the stored file as Python expects it, or null after saying that the upload failed.
async function storePicture(file, say) {
  try {
    const stored = await upload(file);
    return { path: stored.path, url: stored.url, orig_name: file.name, mime_type: file.type, meta: { _type: "gradio.FileData" } };
  } catch (error) {
    say("The upload failed (" + error.message + "). Try again, or use a smaller file.", true);
    return null;
  }
}
