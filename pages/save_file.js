// Has the browser save the bytes it was sent. A line of JSON stands before them: the file's name,
// and which click asked for it. The page may draw this more than once; a click gets one file.
const served = (globalThis.lesionlensServed ??= new Set());

export default function ({ data }) {
  const end = data.indexOf(10);
  const { name, click } = JSON.parse(new TextDecoder().decode(data.subarray(0, end)));
  if (served.has(click)) return;
  served.add(click);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([data.subarray(end + 1)]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
