// Passkeys: a button [data-passkey=url] fetches options, calls the browser's WebAuthn API, and submits its form.

const CANCELLED = new Set(["AbortError", "NotAllowedError"]);

const isSupported = () =>
  typeof PublicKeyCredential === "function" &&
  typeof PublicKeyCredential.parseRequestOptionsFromJSON === "function" &&
  typeof PublicKeyCredential.prototype.toJSON === "function";

async function getCredential(url, token) {
  const response = await fetch(url, { method: "POST", headers: { "X-CSRFToken": token } });
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
    const credential = await getCredential(button.dataset.passkey, form.elements.csrfmiddlewaretoken.value);
    form.elements.passkey.value = JSON.stringify(credential);
    form.requestSubmit();
  } catch (error) {
    const kind = error.name === "InvalidStateError" ? "Known" : CANCELLED.has(error.name) ? "Cancelled" : "Failed";
    problem.textContent = problem.dataset[`words${kind}`];
  } finally {
    button.disabled = false;
  }
});

for (const button of document.querySelectorAll("[data-passkey]")) button.hidden = !isSupported();
for (const hint of document.querySelectorAll("[data-passkey-unsupported]")) hint.hidden = isSupported();
