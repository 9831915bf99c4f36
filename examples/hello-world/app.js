import { getResource, openClient } from "/connection.js";

const message = document.getElementById("message");
const form = document.getElementById("form");
const input = document.getElementById("input");
const send = document.getElementById("send");
const note = document.getElementById("note");

function tell(text) {
  note.textContent = text;
}

const client = await openClient(document.getElementById("badge"), (state) => {
  send.disabled = state !== "live";
});
const model = await getResource(client, "example.model", tell);
tell("");

function show() {
  message.textContent = model.message;
  // Taking the class away and reading a layout value restarts the animation.
  message.classList.remove("fresh");
  void message.offsetWidth;
  message.classList.add("fresh");
}

show();
model.on("change", show);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = input.value.trim();
  if (!text) {
    input.focus();
    return;
  }
  try {
    await model.set({ message: text });
    input.value = "";
    tell("");
  } catch (error) {
    tell(error.message);
  }
});
