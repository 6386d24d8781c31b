// What is embedded: the rows of the job and their thumbnails.

const sheet = embedded();
const rows = sheet.rows;
const chunks = [];

/** A thumbnail as an address; a chunk of them is only looked at when one of it is to be seen. */
function thumbnail(number) {
  const chunk = Math.floor(number / sheet.chunk);
  chunks[chunk] ??= byId(`pictures-${chunk}`).textContent.split("\n");
  return `data:image/webp;base64,${chunks[chunk][number % sheet.chunk]}`;
}
