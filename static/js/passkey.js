// Passkeys: a button [data-passkey=address] fetches what to ask for, asks the browser, and sends its form with the answer.

const CANCELLED = new Set(["AbortError", "NotAllowedError"]);

const isSupported = () =>
  typeof PublicKeyCredential === "function" &&
  typeof PublicKeyCredential.parseRequestOptionsFromJSON === "function" &&
  typeof PublicKeyCredential.prototype.toJSON === "function";

async function answerOf(address, token) {
  const response = await fetch(address, { method: "POST", headers: { "X-CSRFToken": token } });
  if (!response.ok) throw new Error(`status ${response.status}`);
  const options = await response.json();
  if (options.user) {
    return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
  }
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-passkey]");
  if (!button || !button.form.reportValidity()) return;
  const { form } = button;
  const problem = form.querySelector("[data-passkey-problem]");
  problem.textContent = "";
  button.disabled = true;
  try {
    const answer = await answerOf(button.dataset.passkey, form.elements.csrfmiddlewaretoken.value);
    form.elements.passkey.value = JSON.stringify(answer);
    form.requestSubmit();
  } catch (error) {
    const words = error.name === "InvalidStateError" ? "Known" : CANCELLED.has(error.name) ? "Cancelled" : "Failed";
    problem.textContent = problem.dataset[`words${words}`];
  } finally {
    button.disabled = false;
  }
});

for (const button of document.querySelectorAll("[data-passkey]")) button.hidden = !isSupported();
for (const words of document.querySelectorAll("[data-passkey-unsupported]")) words.hidden = isSupported();
